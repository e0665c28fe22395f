/** What the bundler's hints to V8 must not change, and that V8 takes them. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { hintFunctions } from "../cli/compile_hints.ts";
import { observe } from "../cli/observe.ts";
import { run, withFolder } from "./emulator.ts";
import { bundlerMissing, testUnless } from "./tools.ts";

// The parser comes from where the bundler comes from.
const missing = await bundlerMissing();
const needs = missing === undefined ? [] : [missing];

async function output(path: string, flags: readonly string[] = []): Promise<string> {
  const { stdout, stderr } = await run(
    [Deno.execPath(), "run", "-A", "--no-prompt", ...flags, path],
    { env: { ...Deno.env.toObject(), NO_COLOR: "1" } },
  );
  return stdout + stderr;
}

/** Hints all functions that a module calls. */
async function hint(folder: string, source: string): Promise<string> {
  const path = `${folder}/${crypto.randomUUID()}.js`;
  await Deno.writeTextFile(path, source);
  const [[, called]] = await observe([path], {});
  return await hintFunctions(source, called);
}

/** Modules that print what they are to do; in braces, what their hinted text has to include. */
const SOURCES: Readonly<Record<string, readonly [source: string, has: readonly string[]]>> = {
  "expressions and arrows": [
    `var a=function(){return a.name},b=()=>({c:1}),c=x=>y=>x+y,d=async function(){return 4};
    const {e=()=>5}={},o={f:function(){return 6},g(){return this.h},get h(){return 7},i:()=>8};
    console.log(a(),b().c,b.name,c(1)(2),await d(),e(),e.name,o.f(),o.f.name,o.g(),o.i.name,o.i())`,
    [
      "(function(){return a.name})",
      "(()=>({c:1}))",
      "(x=>(y=>x+y))",
      "(async function(){return 4})",
    ],
  ],
  "declarations, also before they are there": [
    `console.log(early(1),early.name,[...numbers()],await later());
    function early(n){return n?inner():0;function inner(){return early(0)+2}}
    function*numbers(){yield 1;yield*[2,3]}
    async function later(){{return block();function block(){return 9}}}`,
    ["early=(function(n)", "inner=(function()", "numbers=(function*()", "let block=(function()"],
  ],
  "a declaration that is assigned, and one named as a parameter": [
    `function f(){f=()=>2;return 1}function g(h){function h(){return 3}return h()}
    function k(k){return k}function same(){return n();function n(){return 1}function n(){return 2}}
    console.log(f(),f(),g(5),k(6),same())`,
    ["f=(function()", "var h=(function()"],
  ],
  "what a removed declaration keeps apart": [
    "let a=1\nfunction f(x){return x}\n(function(){console.log(a,f(2))})()\nclass A{b=1\nm(){return 3}\n'c'=4}console.log(new A().m(),new A().c)",
    ["f=(function(x)"],
  ],
  "directives": [
    `function f(){"use strict";return g();function g(){return this}}console.log(f())`,
    ["f=(function()", "function g()"],
  ],
  "exported declarations": [
    `export function f(){return 1}export default function(){return 2}export{g as h};function g(){return 3}console.log(f(),g())`,
    ["export function f()", "g=(function()"],
  ],
  "methods": [
    `class A{#p=1;s=this.m();m(a=2){return this.#p+a}async n(){return this.#q()}*g(){yield*[1,2]}async*ag(){yield 5}
    #q(){return 4}static t=A.u();static u(){return this.name}static async v(){return this.#w}static #w=6;
    get x(){return this.y}set x(v){this.y=v}constructor(){this.x=7}"z z"(){return 8}9(){return 9}}
    const a=new A,all=[];for await(const v of a.ag())all.push(v);
    console.log(a.s,a.m(),await a.n(),[...a.g()],all,A.t,await A.v(),a.x,a["z z"](),a[9](),a.m.name,A.u.name,a.m.length);
    for(const key in a)console.log(key);console.log(Object.keys(A),Object.getOwnPropertyDescriptor(A.prototype,"m").enumerable)`,
    [
      "m:(function(a=2)",
      "n:(async function()",
      "g:(function*()",
      "ag:(async function*()",
      "#q(){",
      "u:(function()",
    ],
  ],
  "methods with super, of classes that extend": [
    `class A{m(){return"A"}static s(){return 1}k(){return"k"}}
    class B extends A{m(){return super.m()+"B"}static s(){return(()=>super.s()+1)()}k(){return new(class extends A{k(){return super.k()+2}})().k()}o(){return this.m()}}
    const b=new B;console.log(b.m(),B.s(),b.k(),b.o(),B.name)`,
    ["m(){return super.m()", "o:(function()"],
  ],
  "computed, repeated and special names": [
    `const k="m";class A{m(){return 1}[k](){return 2}}class B{m(){return 1}m(){return 2}static m(){return 3}}
    class C{[Symbol.iterator](){return[1][Symbol.iterator]()}m(){return 4}}class D{static name(){return 5}__proto__(){return 6}}
    console.log(new A().m(),new B().m(),B.m(),[...new C],new C().m(),D.name(),new D().__proto__())`,
    [
      "class A{m(){",
      "class B{static{",
      "m(){return 1}m()",
      "{m:(function(){return 4})",
      "static name(){",
    ],
  ],
  "what looks like code": [
    "const f=function(){return`}${[1,2].map(x=>`{${x}`)}//${/[/}(]function/.test('}function(')}`/*){*/};// ){\nconsole.log(f(),'function(){}',/\\/(?:\\))/.source)",
    ["f=(function(){return`", "(x=>`{${x}`)"],
  ],
};

for (const [name, [source, has]] of Object.entries(SOURCES)) {
  testUnless(needs, `hintFunctions keeps what a module does: ${name}`, async () => {
    await withFolder(async (folder) => {
      const hinted = await hint(folder, source);
      for (const part of has) assertStringIncludes(hinted, part);
      await Deno.writeTextFile(`${folder}/before.js`, source);
      await Deno.writeTextFile(`${folder}/after.js`, hinted);
      const before = await output(`${folder}/before.js`);
      assert(before !== "" && !before.includes("error"), before);
      assertEquals(await output(`${folder}/after.js`), before);
    });
  });
}

testUnless(needs, "hintFunctions leaves what is not called as it is", async () => {
  const source = "function f(){}class A{m(){}}const g=()=>{};";
  assertEquals(await hintFunctions(source, []), source);
});

testUnless(
  needs,
  "hintFunctions refuses what is no module, no function, or its own output",
  async () => {
    await assertRejects(() => hintFunctions("function (", []), SyntaxError);
    const source = "class A{m(){}}", all = [{ start: 8, end: 13 }];
    for (const range of [{ start: 7, end: 13 }, { start: 8, end: 12 }, { start: 9, end: 11 }]) {
      await assertRejects(() => hintFunctions(source, [range]), Error, "there is none");
    }
    const hinted = await hintFunctions(source, all);
    await assertRejects(() => hintFunctions(hinted, []), Error, "$define");
  },
);

testUnless(
  needs,
  "V8 compiles hinted functions with their module, and others when they are called",
  async () => {
    await withFolder(async (folder) => {
      const source = `function first(){return 1}class A{second(){return 2}get third(){return 3}}
const fourth=function(){return 4},fifth=()=>{return 5},a=new A;first();a.second();a.third;fourth();fifth();`;
      const lazy = async (text: string) => {
        await Deno.writeTextFile(`${folder}/main.js`, text);
        const log = `${folder}/v8.log`;
        const flags = `--v8-flags=--log-function-events,--logfile=${log},--no-logfile-per-isolate`;
        assertEquals(await output(`${folder}/main.js`, [flags]), "");
        const events = (await Deno.readTextFile(log)).split("\n").map((line) => line.split(","));
        const id = events.find(([kind, , url]) =>
          kind === "script-details" && url?.endsWith("/main.js")
        )![1];
        // A function that is compiled alone is parsed alone.
        return events.filter(([kind, event, script]) =>
          kind === "function" && event === "parse-function" && script === id
        ).map((event) =>
          event[7]
        ).filter((name) => /^(first|second|get third|fourth|fifth)$/.test(name)).sort();
      };
      assertEquals(await lazy(source), ["fifth", "first", "fourth", "get third", "second"]);
      assertEquals(await lazy(await hint(folder, source)), ["get third"]);
    });
  },
);
