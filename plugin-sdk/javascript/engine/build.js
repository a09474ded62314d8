// Builds engine.wasm: node engine/build.js --zig ZIG [--cache DIR] [--out FILE]
//
// ZIG is the compiler of this version, of which the same sources are the same bytes anywhere; a test of the repository sees to it that
// the engine is what its sources give. QuickJS comes as the Rust package that brings its source: cargo puts it into the folder --cache.

import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const HERE = dirname(fileURLToPath(import.meta.url));
const ZIG = "0.17.1";
// The package of QuickJS-ng 0.16.2.
const QUICKJS = { name: "rquickjs-sys", version: "0.14.0", sha256: "cee271d0eeba64f0915b846cb7ae02e16faf3dfdffdca91731101d9d30fe3423" };
const QUICKJS_SOURCES = ["libregexp.c", "libunicode.c", "dtoa.c"];

const TARGET = ["-target", "wasm32-wasi", "-mexec-model=reactor", "-O3", "-DNDEBUG", "-D_GNU_SOURCE"];
const WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wno-unused-function"];
const STACK = ["-Wl,-z,stack-size=1048576"];

const { values } = parseArgs({
  options: {
    zig: { type: "string", default: "zig" },
    cache: { type: "string", default: join(tmpdir(), "lantern-quickjs") },
    out: { type: "string", default: join(HERE, "..", "engine.wasm") },
  },
});

const zig = (...given) => execFileSync(values.zig, given, { cwd: HERE, stdio: ["ignore", "pipe", "inherit"], encoding: "utf8" });
const version = zig("version").trim();
if (version !== ZIG) {
  console.error(`${values.zig} is Zig ${version}, and the engine is built by ${ZIG}: pip install ziglang==${ZIG}`);
  process.exit(1);
}
const quickjs = source(resolve(values.cache));
const objects = mkdtempSync(join(tmpdir(), "lantern-engine-"));
try {
  const object = (name) => join(objects, `${name}.o`);
  zig("cc", ...TARGET, "-std=c23", ...WARNINGS, "-isystem", quickjs, "-c", "engine.c", "-o", object("engine"));
  zig("cc", ...TARGET, "-w", "-I", quickjs, "-c", "quickjs_wasm.c", "-o", object("quickjs"));
  for (const name of QUICKJS_SOURCES) zig("cc", ...TARGET, "-w", "-c", join(quickjs, name), "-o", object(name));
  // The engine first: what it defines of the C library stands for the library's own.
  zig("cc", ...TARGET, "-s", ...STACK, ...["engine", "quickjs", ...QUICKJS_SOURCES].map(object), "-o", resolve(values.out));
  // What is no program to be run is not to look like one.
  chmodSync(resolve(values.out), 0o644);
} finally {
  rmSync(objects, { recursive: true });
}

/** The folder of QuickJS's source, which is fetched unless it is there. */
function source(cache) {
  const { name, version, sha256 } = QUICKJS;
  const folder = join(cache, `${name}-${version}`);
  if (!existsSync(folder)) {
    mkdirSync(cache, { recursive: true });
    const fresh = mkdtempSync(join(cache, "new-"));
    const manifest = `[package]\nname = "source"\nversion = "0.0.0"\n[lib]\npath = "none.rs"\n[workspace]\n[dependencies]\n${name} = "=${version}"\n`;
    writeFileSync(join(fresh, "Cargo.toml"), manifest);
    writeFileSync(join(fresh, "none.rs"), "");
    execFileSync("cargo", ["vendor", "--quiet"], { cwd: fresh, stdio: ["ignore", "ignore", "inherit"] });
    renameSync(join(fresh, "vendor", name), folder);
    rmSync(fresh, { recursive: true });
  }
  const found = JSON.parse(readFileSync(join(folder, ".cargo-checksum.json"), "utf8")).package;
  if (found !== sha256) throw new Error(`${folder} has the SHA-256 ${found}, not ${sha256}: remove it`);
  return join(folder, "quickjs");
}
