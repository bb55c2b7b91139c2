/**
 * The values of the template library. It does not export their classes; values are known by their `type`, made by its own conversion.
 *
 * @module
 */
import { Environment } from "@huggingface/jinja";
import type { PythonValue } from "./python_text.ts";

/** A value at run time. */
export type Value = ReturnType<Environment["set"]>;

const scratch = new Environment();

/** Converts a JavaScript value, deeply. */
export function toValue(value: unknown): Value {
  scratch.variables.delete("value");
  return scratch.set("value", value);
}

/** A list of values. */
export function listOf(values: readonly Value[]): Value {
  const list = toValue([]);
  (list.value as Value[]).push(...values);
  return list;
}

/** The text of a string, undefined for any other value. */
export function textOf(value: Value): string | undefined {
  return value.type === "StringValue" ? value.value as string : undefined;
}

/** The items of a list or tuple. */
export function itemsOf(value: Value): readonly Value[] | undefined {
  return value.type === "ArrayValue" || value.type === "TupleValue" ? value.value as Value[] : undefined;
}

/** The entries of an object; a namespace is none. */
export function entriesOf(value: Value): ReadonlyMap<string, Value> | undefined {
  return value.type === "ObjectValue" ? value.value as Map<string, Value> : undefined;
}

const pythonTypes: Record<string, PythonValue["type"]> = {
  NullValue: "none",
  UndefinedValue: "undefined",
  BooleanValue: "bool",
  IntegerValue: "int",
  FloatValue: "float",
  StringValue: "str",
};

/** The value for {@link pythonStr} and {@link pythonJson}. */
export function toPython(value: Value): PythonValue {
  const items = itemsOf(value);
  if (items !== undefined) return { type: value.type === "TupleValue" ? "tuple" : "list", value: items.map(toPython) };
  if (value.type === "ObjectValue" || value.type === "NamespaceValue") {
    return { type: "dict", value: new Map(Array.from(value.value as Map<string, Value>, ([key, item]) => [key, toPython(item)])) };
  }
  const type = pythonTypes[value.type];
  if (type === undefined) throw new Error(`A ${value.type} cannot be written`);
  return { type, value: value.value } as PythonValue;
}
