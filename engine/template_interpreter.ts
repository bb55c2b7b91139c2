/**
 * The interpreter of `@huggingface/jinja` with what Transformers' templates expect of Python: values are written as Python writes them, string methods
 * take their arguments, output before `break` and `continue` is kept. All of it keeps the marks of {@link Marker} on the characters they belong to.
 *
 * @module
 */
import { type Environment, Interpreter } from "@huggingface/jinja";
import type { Marker } from "./marked_text.ts";
import { type JsonOptions, pythonJson, pythonStr } from "./python_text.ts";
import { callStringMethod } from "./template_strings.ts";
import { entriesOf, itemsOf, listOf, textOf, toPython, toValue, type Value } from "./template_values.ts";

/** A node of the syntax tree, by the fields that are read here. */
export interface Node {
  readonly type: string;
  // deno-lint-ignore no-explicit-any -- the library does not export its node types
  readonly [field: string]: any;
}
type LibraryNode = Parameters<Interpreter["evaluate"]>[0];

/** Evaluated already. */
const known = (value: Value): Node => ({ type: "Known", value });

/** Statements; every other node in a block is an expression, to be written. */
const statements = new Set(["Program", "Set", "If", "For", "Macro", "CallStatement", "FilterStatement", "Break", "Continue", "Comment"]);
const blocks = ["body", "alternate", "defaultBlock"];

/** Wraps blocks in nodes that this interpreter evaluates itself. */
export function prepare(node: Node): Node {
  const copy: Record<string, unknown> = { ...node };
  for (const field of blocks) {
    if (Array.isArray(node[field])) {
      const items = node[field].map((child: Node) => statements.has(child.type) ? prepare(child) : { type: "Output", expression: child });
      copy[field] = [{ type: "Block", items }];
    }
  }
  // Macros look at the classes of their nodes: the copy keeps them.
  return Object.setPrototypeOf(copy, Object.getPrototypeOf(node));
}

/** What `break` and `continue` interrupt has been written: it goes along with the exception. */
type Interruption = Error & { written?: string };

/** Class of the library's exception for a statement. */
function interruptionClass(type: "Break" | "Continue"): unknown {
  try {
    new Interpreter().evaluate({ type } as LibraryNode, {} as Environment);
  } catch (error) {
    return (error as Error).constructor;
  }
}
const breakClass = interruptionClass("Break"), continueClass = interruptionClass("Continue");

/** Runs a tree from {@link prepare}. */
export class TemplateInterpreter extends Interpreter {
  readonly #marker: Marker;

  constructor(environment: Environment, marker: Marker) {
    super(environment);
    this.#marker = marker;
  }

  override evaluate(statement: LibraryNode, environment: Environment): Value {
    if (statement === undefined) return super.evaluate(statement, environment);
    const node = statement as unknown as Node;
    switch (node.type) {
      case "Known":
        return node.value;
      case "Output":
        return toValue(this.#write(this.#evaluate(node.expression, environment)));
      case "Block":
        return this.#block(node, environment);
      case "LoopBody":
        return this.#loopBody(node, environment);
      case "For":
        return this.#for(node, environment);
      case "BinaryExpression":
        return this.#binary(node, environment);
      case "MemberExpression":
        return this.#member(node, environment);
      case "CallExpression":
        return this.#call(node, environment);
      case "FilterExpression":
        return this.#filter(this.#evaluate(node.operand, environment), node.filter, environment);
      case "FilterStatement":
        return this.#filter(super.evaluate(node.body[0], environment), node.filter, environment);
      case "TestExpression":
        return this.#super({ ...node, operand: known(this.#plain(this.#evaluate(node.operand, environment))) }, environment);
      case "ObjectLiteral": {
        const entries = Array.from(node.value as Map<Node, Node>, ([key, value]) => [known(this.#plain(this.#evaluate(key, environment))), value] as const);
        return this.#super({ ...node, value: new Map(entries) }, environment);
      }
      default:
        return super.evaluate(statement, environment);
    }
  }

  #evaluate(node: Node, environment: Environment): Value {
    return this.evaluate(node as unknown as LibraryNode, environment);
  }

  /** The library's own evaluation, of a node whose children may be {@link known}. */
  #super(node: Node, environment: Environment): Value {
    return super.evaluate(node as unknown as LibraryNode, environment);
  }

  #write(value: Value): string {
    return pythonStr(toPython(value), this.#marker);
  }

  /** A string without its marks; any other value as it is. */
  #plain(value: Value): Value {
    const text = textOf(value), plain = text === undefined ? undefined : this.#marker.plain(text);
    return plain === text ? value : toValue(plain);
  }

  #mark(text: string): Value {
    return toValue(this.#marker.mark(text));
  }

  #block(node: Node, environment: Environment): Value {
    let written = "";
    for (const item of node.items as Node[]) {
      try {
        written += textOf(this.#evaluate(item, environment)) ?? "";
      } catch (error) {
        const { constructor } = error as Error;
        if (constructor === breakClass || constructor === continueClass) {
          const interruption = error as Interruption;
          interruption.written = written + (interruption.written ?? "");
        }
        throw error;
      }
    }
    return toValue(written);
  }

  /** An object loops over its keys, a string over its characters. */
  #for(node: Node, environment: Environment): Value {
    const select = node.iterable.type === "SelectExpression";
    const value = this.#evaluate(select ? node.iterable.lhs : node.iterable, environment);
    const entries = entriesOf(value), text = textOf(value);
    const iterable = entries !== undefined
      ? listOf(Array.from(entries.keys(), (key) => this.#mark(key)))
      : text !== undefined
      ? listOf(this.#marker.units(text).map(toValue))
      : value.type === "UndefinedValue"
      ? listOf([])
      : value;
    const body = [{ type: "LoopBody", block: node.body[0], state: {} }];
    return this.#super({ ...node, body, iterable: select ? { ...node.iterable, lhs: known(iterable) } : known(iterable) }, environment);
  }

  /** One turn. After a `break`, the next one begins with it: the library drops what an interrupted turn has written. */
  #loopBody({ block, state }: Node, environment: Environment): Value {
    if (state.broken) throw state.broken;
    try {
      return this.#evaluate(block, environment);
    } catch (error) {
      const { constructor, written = "" } = error as Interruption;
      if (constructor !== breakClass && constructor !== continueClass) throw error;
      if (constructor === breakClass) {
        state.broken = error;
        (error as Interruption).written = "";
      }
      return toValue(written);
    }
  }

  #binary(node: Node, environment: Environment): Value {
    const operator: string = node.operator.value;
    if (operator === "and" || operator === "or") return this.#super(node, environment);
    const left = this.#evaluate(node.left, environment), right = this.#evaluate(node.right, environment);
    if (operator === "~") return toValue(this.#write(left) + this.#write(right));
    if (operator === "+") return this.#super({ ...node, left: known(left), right: known(right) }, environment);
    const items = itemsOf(right);
    const plainRight = items === undefined ? this.#plain(right) : listOf(items.map((item) => this.#plain(item)));
    return this.#super({ ...node, left: known(this.#plain(left)), right: known(plainRight) }, environment);
  }

  #member(node: Node, environment: Environment): Value {
    const object = this.#evaluate(node.object, environment), text = textOf(object);
    if (!node.computed) return this.#super({ ...node, object: known(object) }, environment);
    if (text !== undefined) {
      // As a list of characters, each with its mark.
      const units = listOf(this.#marker.units(text).map(toValue));
      const part = this.#super({ ...node, object: known(units) }, environment), parts = itemsOf(part);
      return parts === undefined ? part : toValue(parts.map(textOf).join(""));
    }
    if (node.property.type === "SliceExpression") return this.#super({ ...node, object: known(object) }, environment);
    const property = this.#plain(this.#evaluate(node.property, environment));
    // A number is no key of an object and a name no place in a list: Jinja finds nothing there.
    if (entriesOf(object) !== undefined && textOf(property) === undefined) return toValue(undefined);
    return this.#super({ ...node, object: known(object), property: known(property) }, environment);
  }

  #call(node: Node, environment: Environment): Value {
    const { callee } = node;
    if (callee.type !== "MemberExpression" || callee.computed) return this.#super(node, environment);
    const object = this.#evaluate(callee.object, environment), name: string = callee.property.value;
    const text = textOf(object), entries = entriesOf(object);
    if (text !== undefined) {
      const [args, named] = this.#arguments(node.args, environment);
      const result = callStringMethod(this.#marker, text, name, args, named);
      if (result !== undefined) return result;
    }
    if (entries !== undefined) {
      const [args] = this.#arguments(node.args, environment);
      if (name === "get") return entries.get(textOf(this.#plain(args[0])) ?? "") ?? args[1] ?? toValue(null);
      const view = this.#view(entries, name);
      if (view !== undefined) return view;
    }
    return this.#super({ ...node, callee: { ...callee, object: known(object) } }, environment);
  }

  /** `dict.items()`, `keys()` or `values()`. */
  #view(entries: ReadonlyMap<string, Value>, name: string): Value | undefined {
    if (name === "items") return listOf(Array.from(entries, ([key, value]) => listOf([this.#mark(key), value])));
    if (name === "keys") return listOf(Array.from(entries.keys(), (key) => this.#mark(key)));
    if (name === "values") return listOf(Array.from(entries.values()));
  }

  #arguments(nodes: readonly Node[], environment: Environment): [Value[], Map<string, Value>] {
    const args: Value[] = [], named = new Map<string, Value>();
    for (const node of nodes) {
      if (node.type === "KeywordArgumentExpression") named.set(node.key.value, this.#evaluate(node.value, environment));
      else args.push(this.#evaluate(node, environment));
    }
    return [args, named];
  }

  /** Applies a filter: a name, or a call of one. */
  #filter(operand: Value, filter: Node, environment: Environment): Value {
    const call = filter.type === "CallExpression";
    const name: string = call ? filter.callee.value : filter.value;
    const [args, named] = this.#arguments(call ? filter.args : [], environment);
    const text = textOf(operand), items = itemsOf(operand), entries = entriesOf(operand);
    switch (name) {
      case "tojson":
        return toValue(pythonJson(toPython(operand), this.#marker, jsonOptions(named)));
      case "string":
        return toValue(this.#write(operand));
      case "d":
        return this.#super(
          { type: "FilterExpression", operand: known(operand), filter: { ...filter, callee: { ...filter.callee, value: "default" } } },
          environment,
        );
      case "selectattr":
      case "rejectattr":
        if (items !== undefined) return this.#select(items, name === "selectattr", args.slice(1), environment, args[0]);
        break;
      case "select":
      case "reject":
        if (items !== undefined) return this.#select(items, name === "select", args, environment);
        break;
      case "map":
        if (items !== undefined && args.length > 0) {
          const each = { type: "Identifier", value: textOf(args[0]) };
          return listOf(items.map((item) => this.#filter(item, each, environment)));
        }
        break;
      case "list":
        if (entries !== undefined) return this.#view(entries, "keys")!;
        if (text !== undefined) return listOf(this.#marker.units(text).map(toValue));
        break;
      case "items":
        if (entries !== undefined) return this.#view(entries, "items")!;
        break;
      case "dictsort": {
        const sorted = itemsOf(this.#super({ type: "FilterExpression", operand: known(operand), filter }, environment)) ?? [];
        return listOf(sorted.map((pair) => itemsOf(pair)!).map(([key, value]) => listOf([this.#mark(textOf(key)!), value])));
      }
    }
    if (text !== undefined) {
      const result = callStringMethod(this.#marker, text, name === "trim" ? "strip" : name, args, named);
      if (result !== undefined) return result;
      if (name === "int" || name === "float") operand = this.#plain(operand);
    }
    return this.#super({ type: "FilterExpression", operand: known(operand), filter }, environment);
  }

  /** Items that pass a test (or do not), or one of whose attributes does. */
  #select(items: readonly Value[], wanted: boolean, [test, operand]: readonly Value[], environment: Environment, attribute?: Value): Value {
    const name = test === undefined ? undefined : textOf(test) ?? "", check = name === undefined ? undefined : environment.tests.get(name);
    if (name !== undefined && check === undefined) throw new Error(`Unknown test: ${name}`);
    const key = attribute === undefined ? undefined : textOf(this.#plain(attribute)) ?? "";
    return listOf(items.filter((item) => {
      const value = this.#plain(key === undefined ? item : entriesOf(item)?.get(key) ?? toValue(undefined));
      const passes = check === undefined ? value.__bool__().value : operand === undefined ? check(value) : check(value, this.#plain(operand));
      return passes === wanted;
    }));
  }
}

function jsonOptions(named: ReadonlyMap<string, Value>): JsonOptions {
  const indent = named.get("indent"), separators = named.get("separators"), pair = separators && itemsOf(separators)?.map(textOf);
  return {
    indent: indent === undefined || indent.value === null ? undefined : typeof indent.value === "number" ? " ".repeat(indent.value) : textOf(indent),
    separators: pair && [pair[0] ?? ", ", pair[1] ?? ": "],
    sortKeys: named.get("sort_keys")?.value === true,
    ensureAscii: named.get("ensure_ascii")?.value === true,
  };
}
