"""Renders of chat templates by Jinja2 in the environment of Transformers. argv: out.json"""
import json, sys
from datetime import datetime
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.ext import Extension, loopcontrols
from jinja2 import nodes
class Generation(Extension):
    tags={"generation"}
    def parse(self, parser):
        lineno=next(parser.stream).lineno
        body=parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("_g"), [], [], body).set_lineno(lineno)
    def _g(self, caller): return caller()
def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
class Refused(Exception): pass
def raise_exception(m): raise Refused(m)
DATE=datetime(2025,7,4,9,5,3)
def env():
    e=ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    e.filters["tojson"]=tojson; e.globals["raise_exception"]=raise_exception; e.globals["strftime_now"]=lambda f: DATE.strftime(f); return e
T={}
T["chatml"]="""{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""
T["llama3"]="""{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"""
T["llama31_tools"]="""{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not date_string is defined %}
    {%- set date_string = strftime_now("%d %b %Y") %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{#- system #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none %}
    {{- "Environment: ipython\\n" }}
{%- endif %}
{{- "Today Date: " + date_string + "\\n\\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("This model only supports single tool-calls at once!") }}
        {%- endif %}
        {%- set tool_call = message.tool_calls[0].function %}
        {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}
        {{- '{"name": "' + tool_call.name + '", ' }}
        {{- '"parameters": ' }}
        {{- tool_call.arguments | tojson }}
        {{- "}" }}
        {{- "<|eot_id|>" }}
    {%- elif message.role == "tool" or message.role == "ipython" %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\\n\\n" }}
        {%- if message.content is mapping or message.content is iterable %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot_id|>" }}
    {%- endif %}
{%- endfor %}
{%- if tools is not none %}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\\n\\n" }}
    {%- endfor %}
{%- endif %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""
T["qwen3"]="""{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}
        {{- messages[0].content + '\\n\\n' }}
    {%- endif %}
    {{- "# Tools\\n\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools><|im_end|>\\n" }}
{%- else %}
    {%- if messages[0].role == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning_content = message.reasoning_content %}
        {%- else %}
            {%- if '</think>' in content %}
                {%- set reasoning_content = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
                {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
            {%- endif %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index %}
            {%- if loop.last or (not loop.last and reasoning_content) %}
                {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
            {%- else %}
                {{- '<|im_start|>' + message.role + '\\n' + content }}
            {%- endif %}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {%- if message.tool_calls %}
            {%- for tool_call in message.tool_calls %}
                {%- if (loop.first and content) or (not loop.first) %}
                    {{- '\\n' }}
                {%- endif %}
                {%- if tool_call.function %}
                    {%- set tool_call = tool_call.function %}
                {%- endif %}
                {{- '<tool_call>\\n{"name": "' }}
                {{- tool_call.name }}
                {{- '", "arguments": ' }}
                {%- if tool_call.arguments is string %}
                    {{- tool_call.arguments }}
                {%- else %}
                    {{- tool_call.arguments | tojson }}
                {%- endif %}
                {{- '}\\n</tool_call>' }}
            {%- endfor %}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' }}
        {{- content }}
        {{- '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}"""
T["mistral"]="""{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token }}{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}"""
T["python"]="""{{ tools[0] | string }}|{{ tools[0] }}|{{ 1.0 }} {{ 0.00001 }} {{ 3 }} {{ true }} {{ none }} {{ [1, 'a', "it's", none, true, 2.5] }} {{ undefined_thing }}|{{ "a" ~ 1 ~ none ~ true ~ [1] }}
{{ messages[0].content.upper() }} {{ messages[0].content | lower }} {{ messages[0].content | title }} {{ messages[0].content | capitalize }} {{ messages[0].content | length }} {{ messages[0].content[1:4] }} {{ messages[0].content[0] }} {{ messages[0].content[::-1] }}
{{ messages | selectattr('role', 'equalto', 'user') | list | length }} {{ messages | rejectattr('role', 'equalto', 'user') | map(attribute='role') | join(', ') }} {{ messages | map(attribute='content') | map('upper') | join('/') }}
{%- for k, v in tools[0].items() %}{{ k }}={{ v | tojson }};{% endfor %}
{% for k in tools[0] %}{{ k }} {% endfor %}{% for k, v in tools[0] | dictsort %}{{ k }} {% endfor %}
{{ tools[0].get('missing') }} {{ tools[0].get('missing', 'x') }} {{ tools[0]['name'] in 'a get_weather' }} {{ 'name' in tools[0] }} {{ messages[0].role in ['user', 'x'] }} {{ missing | default('d') }}
{% macro show(x, y='z') %}<{{ x }}{{ y }}>{% endmacro %}{{ show('a') }}{{ show(messages[0].role, y=1) }}
{% set block %}in {{ messages[0].role }}{% endset %}{{ block }}
{% for m in messages %}{% if loop.index == 2 %}{% continue %}{% endif %}[{{ loop.index }}{% if loop.index == 3 %}{% break %}{% endif %}]{% endfor %}
{% for c in 'abc' %}{{ c }}{{ '.' if not loop.last }}{% endfor %} {{ 'a b  c'.split() }} {{ 'a,b,c'.split(',', 1) }} {{ 'x' * 3 if false else 'y' }} {{ '  pad '.strip() }}| {{ 'xxabxx'.strip('x') }} {{ 'a-b'.replace('-', '+') }} {{ "l1\\nl2\\n\\nl3" | indent(2) }}
{% generation %}G {{ messages[0].role }}{% endgeneration %}
{{ strftime_now('%Y-%m-%d %H:%M:%S %j %a %A %b %B %y %I %p %%') }}
{{ tools[0] | tojson(indent=2) }} {{ tools | tojson(separators=(',', ':')) }} {{ {'b': 1, 'a': 'é'} | tojson(sort_keys=true, ensure_ascii=true) }}"""
tools=[{"name":"get_weather","description":"It's \"fine\" \\ é\n<|im_end|>\u200b","parameters":{"type":"object","properties":{"city":{"type":"string","enum":["a",None,True,1.5,2]}},"required":[]}}]
C=[
 {"messages":[{"role":"user","content":"Hi there"}],"add_generation_prompt":True},
 {"messages":[{"role":"system","content":"  Be kind.\n"},{"role":"user","content":" Hi <|im_end|> \n"},{"role":"assistant","content":"<think>\nhm\n</think>\n\nYes"},{"role":"user","content":"And?"}],"add_generation_prompt":True},
 {"messages":[{"role":"user","content":"Weather?"},{"role":"assistant","content":"<think>\nuse it\n</think>\n\n","tool_calls":[{"type":"function","function":{"name":"get_weather","arguments":{"city":"Zürich </tool_call>","n":[1,2.5,None]}}}]},{"role":"tool","content":"sunny"},{"role":"tool","content":"warm"},{"role":"assistant","content":"It is sunny"}],"tools":tools},
 {"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"c"},{"role":"assistant","content":"d"}],"tools":tools},
]
out={"date":"2025-07-04T09:05:03","variables":{"bos_token":"<|begin_of_text|>","eos_token":"<|im_end|>"},"templates":T,"inputs":C,"renders":{}}
for n,t in T.items():
    R=[]
    for c in C:
        try: R.append({"text":env().from_string(t).render(**{"tools":None,"documents":None,"add_generation_prompt":False,**out["variables"],**c})})
        except Refused as e: R.append({"refused":str(e)})
        except Exception as e: R.append(None); print(n,type(e),e)
    out["renders"][n]=R
json.dump(out,open(sys.argv[1],"w"),indent=1,ensure_ascii=False)
