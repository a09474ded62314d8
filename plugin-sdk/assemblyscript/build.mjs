// Compiles a project to a plugin: `node .lantern/sdk/assemblyscript/build.mjs --tools TOOLS --out plugin.wasm [--project .]`.
// The functions that assembly/index.ts exports say of which kind it is; an entry made here wires them to the contract.
import { existsSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const SDK = dirname(fileURLToPath(import.meta.url));
const PACKAGE = "@lantern/sdk-assemblyscript";
const KINDS = {
  projection: { needs: ["apply"], exports: ["lantern:plugin/projection@0.1.0#apply"] },
  aggregate: {
    needs: ["decide", "evolve"],
    exports: ["lantern:plugin/commands@0.1.0#decide", "lantern:plugin/commands@0.1.0#evolve"],
  },
  upcaster: { needs: ["upcast"], exports: ["lantern:plugin/upcast@0.1.0#upcast"] },
};
const WIRES = {
  apply: "export function __apply(at: usize, len: i32): usize { return host.apply(at, len, plugin.apply); }",
  decide: "export function __decide(at: usize, len: i32): usize { return host.decide(at, len, plugin.decide); }",
  evolve:
    "export function __evolve(is: i32, state: usize, stateLen: i32, at: usize, len: i32): usize { return host.evolve(is, state, stateLen, at, len, plugin.evolve); }",
  upcast: "export function __upcast(at: usize, len: i32): usize { return host.upcast(at, len, plugin.upcast); }",
};

function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

function kindOf(source) {
  const has = (name) => new RegExp(`^export\\s+function\\s+${name}\\b`, "m").test(source);
  if (!has("manifest")) fail("assembly/index.ts exports no function `manifest(): Manifest`");
  const kinds = Object.entries(KINDS).filter(([, kind]) => kind.needs.every(has));
  if (kinds.length !== 1) {
    fail("assembly/index.ts exports one of: `apply` (a projection), `decide` and `evolve` (an aggregate), `upcast` (an upcaster)");
  }
  return kinds[0][1];
}

function entryOf(kind) {
  const posts = ["describe", ...kind.needs].map((name) => `export function __post_${name}(_: usize): void { host.done(); }`);
  return [
    `import * as plugin from "./index";`,
    `import * as host from "${PACKAGE}/guest";`,
    // It stands alone: it is compiled before everything that might call it.
    `@external("lantern:plugin/logger@0.1.0", "write") declare function __log(level: u32, at: usize, len: i32): void;`,
    "function __abort(message: string | null, file: string | null, line: u32, column: u32): void {",
    "  const text = (message === null ? 'aborted' : message) + (file === null ? '' : ` at ${file}:${line}:${column}`);",
    "  const bytes = String.UTF8.encode(text);",
    "  __log(0, changetype<usize>(bytes), bytes.byteLength);",
    "}",
    "export function __describe(): usize { return host.describe(plugin.manifest()); }",
    "export function __realloc(old: usize, oldLen: usize, align: usize, len: usize): usize { return host.realloc(old, oldLen, len); }",
    ...kind.needs.map((name) => WIRES[name]),
    ...posts,
  ].join("\n");
}

/// The module with its exports named as the contract has them: AssemblyScript only knows names that are identifiers.
function renamed(wasm, names) {
  const out = [wasm.subarray(0, 8)];
  let at = 8;
  const u32 = (from) => {
    let value = 0;
    for (let shift = 0, byte = 0x80; byte & 0x80; shift += 7) {
      byte = wasm[from++];
      value |= (byte & 0x7f) << shift;
    }
    return [value >>> 0, from];
  };
  const leb = (value) => {
    const bytes = [];
    do bytes.push((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
    while ((value >>>= 7));
    return bytes;
  };
  while (at < wasm.length) {
    const id = wasm[at];
    const [size, body] = u32(at + 1);
    const end = body + size;
    if (id === 7) {
      let [count, next] = u32(body);
      const bytes = leb(count);
      for (; count > 0; count--) {
        const [len, name] = u32(next);
        const old = Buffer.from(wasm.subarray(name, name + len)).toString();
        const [, rest] = u32(name + len + 1);
        const fresh = Buffer.from(names[old] ?? old);
        bytes.push(...leb(fresh.length), ...fresh, ...wasm.subarray(name + len, rest));
        next = rest;
      }
      out.push(Buffer.from([id, ...leb(bytes.length), ...bytes]));
    } else {
      out.push(wasm.subarray(at, end));
    }
    at = end;
  }
  return Buffer.concat(out);
}

/// Compiles an entry with the SDK at hand; answers the module.
export async function compile({ tools, project, entry, source, names }) {
  const asc = await import(pathToFileURL(join(tools, "node_modules/assemblyscript/dist/asc.js")));
  let wasm;
  const { error, stderr } = await asc.main(
    [entry, "--outFile", "plugin.wasm", "-O3", "--runtime", "minimal", "--use", `abort=${entry.replace(".ts", "")}/__abort`],
    {
      readFile(name, base) {
        if (name.replaceAll("\\", "/") === entry) return source;
        const inSdk = name.replaceAll("\\", "/").match(new RegExp(`(?:node_modules/|~lib/)${PACKAGE}/(?:assembly/)?(.*)$`));
        const path = inSdk ? join(SDK, inSdk[1] === "package.json" ? "package.json" : `assembly/${inSdk[1]}`) : resolve(project, base ?? ".", name);
        return existsSync(path) ? readFileSync(path, "utf8") : null;
      },
      writeFile(_, contents) {
        wasm = contents;
      },
      listFiles: () => [],
    },
  );
  if (error) fail(`${stderr.toString()}${error.message}`);
  return renamed(wasm, names);
}

async function main() {
  const options = Object.fromEntries(
    process.argv.slice(2).flatMap((arg, at, all) => (arg.startsWith("--") ? [[arg.slice(2), all[at + 1]]] : [])),
  );
  if (!options.tools || !options.out) {
    process.stderr.write("usage: build.mjs --tools TOOLS --out FILE [--project DIR]\n");
    process.exit(2);
  }
  const project = resolve(options.project ?? ".");
  const main = join(project, "assembly/index.ts");
  if (!existsSync(main)) fail(`${main} is missing: it exports what the plugin is`);
  const kind = kindOf(readFileSync(main, "utf8"));
  const contract = ["lantern:plugin/meta@0.1.0#describe", ...kind.exports];
  const names = { __realloc: "cabi_realloc" };
  for (const name of contract) {
    const short = name.split("#")[1];
    names[`__${short}`] = name;
    names[`__post_${short}`] = `cabi_post_${name}`;
  }
  const wasm = await compile({
    tools: resolve(options.tools),
    project,
    entry: "assembly/__entry.ts",
    source: entryOf(kind),
    names,
  });
  mkdirSync(dirname(resolve(options.out)), { recursive: true });
  writeFileSync(options.out, wasm);
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) await main();
