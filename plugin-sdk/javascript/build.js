// Builds a plugin: node build.js --tools TOOLS --out plugin.wasm
//
// TOOLS is a folder with node_modules/esbuild. The module that package.json names as "main" has the plugin as its default export.
// `lantern build` calls this.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { snapshot } from "./snapshot.js";

const SDK = dirname(fileURLToPath(import.meta.url));
const ESBUILD = "0.28.2";
const KINDS = ["projection", "aggregate", "upcaster"];

/** What is wrong with a project, and what to do. */
class Refused extends Error {}

async function main() {
  const { values } = parseArgs({
    options: {
      tools: { type: "string" },
      out: { type: "string" },
      project: { type: "string", default: "." },
    },
  });
  for (const name of ["tools", "out"]) {
    if (values[name] === undefined) throw new Refused(`--${name} is missing: node build.js --tools DIR --out FILE`);
  }
  await build(resolve(values.project), resolve(values.tools), resolve(values.out));
}

async function build(project, tools, out) {
  const main = mainOf(project);
  const esbuild = esbuildOf(tools);
  const folder = join(project, ".lantern", "build", "javascript");
  mkdirSync(folder, { recursive: true });
  const bundle = (entry, outfile, more) =>
    esbuild
      .build({
        entryPoints: [entry],
        outfile,
        bundle: true,
        platform: "neutral",
        mainFields: ["module", "main"],
        target: "es2023",
        charset: "utf8",
        logLevel: "silent",
        absWorkingDir: project,
        plugins: [sdk],
        ...more,
      })
      .catch(async (failed) => {
        const said = await esbuild.formatMessages(failed.errors ?? [], { kind: "error" });
        throw new Refused(said.join("\n") || String(failed));
      });

  // Once for Node, to see what the plugin is; then for the engine.
  const native = join(folder, "native.mjs");
  await bundle(main, native, { format: "esm" });
  const kind = await kindOf(native, main);
  const entry = join(folder, "entry.js");
  writeFileSync(entry, entrySource(main));
  const bundled = join(folder, "plugin.js");
  const { outputFiles } = await bundle(entry, bundled, { format: "iife", sourcemap: "external", sourcesContent: false, write: false });
  const code = outputFiles.find((file) => file.path.endsWith(".js")).text;
  const map = JSON.parse(outputFiles.find((file) => file.path.endsWith(".map")).text);
  // Behind the code, so that no line of it moves.
  const source = `${code}\nglobalThis.__lanternLines = ${JSON.stringify(linesOf(map))};\n`;
  writeFileSync(bundled, source);
  mkdirSync(dirname(out), { recursive: true });
  writeFileSync(out, plugin(source, kind, main));
}

function plugin(source, kind, main) {
  try {
    return snapshot(readFileSync(join(SDK, "engine.wasm")), source, kind);
  } catch (error) {
    throw new Refused(`${main} cannot be loaded by the engine of plugins:\n${error.message}`);
  }
}

function mainOf(project) {
  const settings = join(project, "package.json");
  if (!existsSync(settings)) throw new Refused(`${project} has no package.json: a JavaScript plugin needs one`);
  let main;
  try {
    ({ main } = JSON.parse(readFileSync(settings, "utf8")));
  } catch (error) {
    throw new Refused(`${settings}: ${error.message}`);
  }
  const candidates = main ? [main] : ["src/index.ts", "src/index.js"];
  const found = candidates.map((each) => join(project, each)).find((path) => existsSync(path));
  if (!found) throw new Refused(`${settings}: there is no ${candidates.join(" or ")}: name the plugin's module as "main"`);
  return found;
}

function esbuildOf(tools) {
  try {
    return createRequire(join(tools, "package.json"))("esbuild");
  } catch (error) {
    throw new Refused(`esbuild is missing in ${tools}: npm install --prefix ${tools} esbuild@${ESBUILD} (${error.code ?? error.message})`);
  }
}

/** Has `@lantern/sdk` found beside this file, whether or not it is installed. */
const sdk = {
  name: "lantern-sdk",
  setup(build) {
    const { exports } = JSON.parse(readFileSync(join(SDK, "package.json"), "utf8"));
    build.onResolve({ filter: /^@lantern\/sdk(\/|$)/ }, ({ path }) => {
      const entry = exports[path.replace("@lantern/sdk", ".")];
      return entry ? { path: join(SDK, entry.default) } : undefined;
    });
  },
};

async function kindOf(native, main) {
  let plugin;
  try {
    plugin = (await import(pathToFileURL(native).href)).default;
  } catch (error) {
    throw new Refused(`${main} cannot be loaded:\n${error.stack}`);
  }
  if (!KINDS.includes(plugin?.kind)) {
    throw new Refused(`${main} has no plugin as its default export: export default projection({ … }), aggregate or upcaster`);
  }
  return plugin.kind;
}

function entrySource(main) {
  return `// Written by \`lantern build\`.
import { guestOf } from "@lantern/sdk/guest";
import plugin from ${JSON.stringify(main)};

globalThis.__lantern = guestOf(plugin);
`;
}

/** Which line of which source each line of the bundle came from: [source, line] by line, for stacks. */
function linesOf({ sources, mappings }) {
  const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  let source = 0;
  let line = 0;
  const lines = mappings.split(";").map((segments) => {
    let first = null;
    for (const segment of segments.split(",")) {
      const fields = [];
      for (let at = 0; at < segment.length; ) {
        let value = 0;
        for (let shift = 0; ; shift += 5) {
          const digit = digits.indexOf(segment[at++]);
          value |= (digit & 31) << shift;
          if ((digit & 32) === 0) break;
        }
        fields.push(value & 1 ? -(value >> 1) : value >> 1);
      }
      if (fields.length < 4) continue;
      source += fields[1];
      line += fields[2];
      first ??= [source, line + 1];
    }
    return first ?? 0;
  });
  const names = sources.map((path) => path.replace(/^(\.\.\/)+/, ""));
  return { sources: names.map((path) => (/(^|-)sdk\/javascript\/|@lantern\/sdk\//.test(path) ? "@lantern/sdk" : path)), lines };
}

main().catch((error) => {
  console.error(error instanceof Refused ? error.message : error);
  process.exitCode = 1;
});
