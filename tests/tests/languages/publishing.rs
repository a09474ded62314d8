//! The SDKs as packages of their ecosystems.

use super::sdks::{Sdk, check_all};
use anyhow::{Context, Result, ensure};
use lantern_tests::target;
use std::fs;

/// Where they are made and used, in the tests' cache.
const FOLDER: &str = "packages";

/// From the SDK's folder to an empty project that uses the package and nothing else. C's are files that are copied, as every new
/// project does.
const PACKAGES: [Sdk; 6] = [
    Sdk {
        folder: ".",
        languages: &["rust"],
        sqlite: false,
        // Compiled they are by every new project; what would be missing is a file. A link, as to the contract, becomes one.
        script: "cargo package --quiet --offline --no-verify --allow-dirty --target-dir $OUT \
                   -p lantern-contract -p lantern-sdk -p lantern-testing && cd $OUT/package && \
                 for crate in contract sdk testing; do tar xzf lantern-$crate-0.1.0.crate && \
                   cmp lantern-$crate-0.1.0/LICENSE $LICENSE || exit 1; done && \
                 cmp lantern-sdk-0.1.0/wit/lantern.wit lantern-contract-0.1.0/src/lantern.wit && \
                 grep -q 'The contract' lantern-contract-0.1.0/src/lib.rs",
    },
    Sdk {
        folder: "javascript",
        languages: &["javascript"],
        sqlite: false,
        // The bundler is the one that is here.
        script: "npm pack --silent --pack-destination $OUT && cd $OUT && echo '{\"type\":\"module\"}' >package.json && \
                 npm install --silent --no-audit --no-fund --offline ./lantern-sdk-0.1.0.tgz && \
                 cmp node_modules/@lantern/sdk/LICENSE $LICENSE && test -s node_modules/@lantern/sdk/NOTICE && \
                 mkdir -p src && sed 's/{{name}}/user/g' \"$SOURCE\"/template/projection/src/index.js >src/index.js && \
                 node node_modules/@lantern/sdk/build.js --tools $TOOLCHAINS/esbuild-*[0-9] --out plugin.wasm && test -s plugin.wasm && \
                 node -e 'Promise.all([import(\"@lantern/sdk\"), import(\"@lantern/sdk/testing\")]).then(([sdk, testing]) => \
                   { if (!sdk.projection || !testing.ReadModel) throw new Error(Object.keys(testing)); })'",
    },
    Sdk {
        folder: "assemblyscript",
        languages: &["assemblyscript"],
        sqlite: false,
        // Its compiler is the one that is here.
        script: "npm pack --silent --pack-destination $OUT && cd $OUT && echo '{}' >package.json && \
                 npm install --silent --no-audit --no-fund --offline --legacy-peer-deps ./lantern-sdk-assemblyscript-0.1.0.tgz && \
                 cmp node_modules/@lantern/sdk-assemblyscript/LICENSE $LICENSE && \
                 mkdir -p assembly && cp \"$SOURCE\"/template/projection/assembly/index.ts assembly/ && \
                 node node_modules/@lantern/sdk-assemblyscript/build.mjs \
                   --tools $TOOLCHAINS/assemblyscript-*[0-9] --out plugin.wasm && test -s plugin.wasm",
    },
    Sdk {
        folder: "python",
        languages: &["python"],
        sqlite: false,
        script: "python3 -m pip wheel --quiet --no-deps --disable-pip-version-check --wheel-dir $OUT/wheel . && cd $OUT && \
                 python3 -m pip install --quiet --no-index --no-deps --disable-pip-version-check --upgrade --target site wheel/*.whl && \
                 cmp site/lantern_sdk-*.dist-info/licenses/LICENSE $LICENSE && test -f site/lantern/py.typed && \
                 PYTHONPATH=site python3 -c 'import lantern, lantern.testing, lantern.build'",
    },
    Sdk {
        folder: "go",
        languages: &["go"],
        sqlite: false,
        // A proxy is a folder: it has the module as the module proxy would make it of the tag.
        script: "at=$OUT/proxy/lantern.dev/sdk-go/@v && mkdir -p $at $OUT/user && cp go.mod $at/v0.1.0.mod && \
                 echo '{\"Version\":\"v0.1.0\"}' >$at/v0.1.0.info && echo v0.1.0 >$at/list && \
                 python3 ../../tests/tests/languages/module_zip.py . lantern.dev/sdk-go@v0.1.0 $at/v0.1.0.zip && \
                 cd $OUT/user && printf 'module user\\n\\ngo 1.24\\n' >go.mod && \
                 sed 's/{{name}}/user/g' \"$SOURCE\"/template/projection/main.go.tmpl >main.go && \
                 export GOPROXY=file://$OUT/proxy GONOSUMDB=lantern.dev GOFLAGS=-modcacherw GOMODCACHE=$OUT/modules && \
                 go get lantern.dev/sdk-go@v0.1.0 && cmp $OUT/modules/lantern.dev/sdk-go@v0.1.0/LICENSE $LICENSE && \
                 GOOS=wasip1 GOARCH=wasm go vet ./...",
    },
    Sdk {
        folder: "zig",
        languages: &["zig"],
        sqlite: false,
        // The paths that its manifest names, which is what `zig fetch` keeps of an archive.
        script: "zig=$(echo $TOOLCHAINS/ziglang-*[0-9]/ziglang/zig) && mkdir -p $OUT/lantern $OUT/user/src && \
                 tar c $(sed -n 's/.*paths = .{\\(.*\\)}.*/\\1/p' build.zig.zon | tr -d ',\"') | tar x -C $OUT/lantern && cd $OUT/user && \
                 sed 's#.lantern/sdk/zig#../lantern#' \"$SOURCE\"/template/projection/build.zig.zon >build.zig.zon && \
                 cp \"$SOURCE\"/template/projection/build.zig . && \
                 sed 's/{{name}}/user/g; s/{{Name}}/User/g' \"$SOURCE\"/template/projection/src/main.zig >src/main.zig && \
                 $zig build && test -s zig-out/plugin.wasm",
    },
];

// Whoever takes an SDK from a registry gets all of it, under its license, and can use it.
#[test]
fn every_sdk_is_a_package_that_an_empty_project_can_use() -> Result<()> {
    // What is left of an earlier SDK of this version would be used instead of this one.
    let left = target::cache_dir()?.join(FOLDER);
    if left.exists() {
        fs::remove_dir_all(&left).with_context(|| left.display().to_string())?;
    }
    check_all(FOLDER, &PACKAGES)
}

// Also where the files are copied, as for C.
#[test]
fn every_sdk_has_the_license() -> Result<()> {
    let root = target::tests_dir().join("..");
    let license = fs::read_to_string(root.join("LICENSE"))?;
    for folder in ["", "assemblyscript", "c", "contract", "go", "javascript", "python", "testing", "zig"] {
        let path = root.join("plugin-sdk").join(folder).join("LICENSE");
        let found = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        ensure!(found == license, "{} is not the license of this repository", path.display());
    }
    for (name, says) in [
        ("javascript/package.json", "\"license\": \"Apache-2.0\""),
        ("assemblyscript/package.json", "\"license\": \"Apache-2.0\""),
        ("python/pyproject.toml", "license = \"Apache-2.0\""),
        ("zig/build.zig.zon", "\"LICENSE\""),
    ] {
        let text = fs::read_to_string(root.join("plugin-sdk").join(name))?;
        ensure!(text.contains(says), "plugin-sdk/{name} does not say {says}");
    }
    Ok(())
}
