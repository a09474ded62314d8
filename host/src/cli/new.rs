//! `lantern new`

use super::language::Language;
use super::{output, sdk};
use anyhow::{Context as _, bail};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The longest name of a project: a plugin's may be as long.
const NAME_BYTES_MAX: usize = 64;

/// Begin a plugin: a project that works, with a test, a README and a .gitignore.
///
/// Its SDK is written with it, into .lantern, where `lantern build` keeps it at this binary's version; that folder is not
/// committed.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  lantern new balances --lang go\n  lantern new account --lang typescript --kind aggregate"
)]
pub struct New {
    /// The project's folder, whose last part names the plugin: lower-case letters, digits and `-`.
    #[arg(value_name = "NAME")]
    dir: PathBuf,
    /// The language.
    #[arg(long, value_name = "LANGUAGE")]
    lang: Language,
    /// What the plugin is.
    #[arg(long, value_name = "KIND", default_value = "projection")]
    kind: Kind,
    /// Print JSON: {"name": ..., "kind": ..., "language": ..., "path": ..., "files": [...]}.
    #[arg(long)]
    json: bool,
}

/// What a plugin can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    /// Events in, rows out.
    Projection,
    /// Commands in, events out.
    Aggregate,
    /// Old events in, the same events as they are today out.
    Upcaster,
    /// Events in, commands out.
    ProcessManager,
}

/// A project that was made.
#[derive(Debug, serde::Serialize)]
struct Made {
    name: String,
    kind: Kind,
    language: Language,
    path: PathBuf,
    files: Vec<String>,
}

impl New {
    /// Makes the project, and says what to do next.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let made = make(&self.dir, self.lang, self.kind)?;
        if self.json {
            output::json(&made)?;
        } else {
            let Made { name, kind, language, .. } = &made;
            let path = self.dir.display();
            output::line(&format!("made {name}, {} in {language}\n\n  cd {path}", kind.words()))?;
            output::line(
                "  lantern build    compile and check it\n  lantern dev      the same on every save, and run it",
            )?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Kind {
    /// The folder of its templates.
    fn folder(self) -> &'static str {
        match self {
            Kind::Projection => "projection",
            Kind::Aggregate => "aggregate",
            Kind::Upcaster => "upcaster",
            Kind::ProcessManager => "process-manager",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Kind::Projection => "a projection",
            Kind::Aggregate => "an aggregate",
            Kind::Upcaster => "an upcaster",
            Kind::ProcessManager => "a process manager",
        }
    }
}

/// Writes a project, whole or not at all.
fn make(dir: &Path, language: Language, kind: Kind) -> anyhow::Result<Made> {
    let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    check_name(name)?;
    let template: Vec<_> = sdk::template(language, kind.folder()).collect();
    if template.is_empty() {
        bail!("there is no template of {} in {language}", kind.words());
    }
    let doing = || format!("cannot make {}", dir.display());
    let parent = match dir.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).with_context(doing)?;
    let new = tempfile::Builder::new()
        .prefix(".lantern-new-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777))
        .tempdir_in(parent)
        .with_context(doing)?;
    let template: Vec<(String, &str)> = template
        .into_iter()
        .map(|(path, bytes)| match std::str::from_utf8(bytes) {
            Ok(text) => Ok((path, text)),
            Err(_) => bail!("the template's {path} is not text"),
        })
        .collect::<anyhow::Result<_>>()?;
    let names = Names::new(name, kind, &template);
    let mut files = Vec::new();
    for (path, text) in &template {
        let path = names.fill(path);
        let file = new.path().join(&path);
        fs::create_dir_all(file.parent().unwrap_or(new.path())).with_context(doing)?;
        fs::write(file, names.fill(text)).with_context(doing)?;
        files.push(path);
    }
    // So that editors and the language's own tools find it before the first build.
    drop(sdk::write(new.path(), language)?);
    match fs::rename(new.path(), dir) {
        Ok(()) => {}
        Err(error) if matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::NotADirectory) => {
            bail!("{} exists: choose another name, or remove it first", dir.display())
        }
        Err(error) => return Err(error).with_context(doing),
    }
    // Nothing is left of it to remove.
    let _ = new.keep();
    let path = dir.canonicalize().with_context(doing)?;
    Ok(Made { name: name.to_owned(), kind, language, path, files })
}

/// A name that every language's tools take.
fn check_name(name: &str) -> anyhow::Result<()> {
    let is_right = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_name = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(is_right)
        && !name.ends_with('-')
        && !name.contains("--");
    if !is_name || name.len() > NAME_BYTES_MAX {
        bail!(
            "`{name}` cannot name a project: use lower-case letters, digits and `-` between them, such as `my-shop`, up to \
             {NAME_BYTES_MAX} characters"
        );
    }
    Ok(())
}

/// How a project's name is written in a template: `{{name}}` my-shop, `{{Name}}` MyShop, `{{name_snake}}` my_shop.
struct Names {
    name: String,
    camel: String,
    snake: String,
}

impl Names {
    /// A type of this name may be in the template already, as the table of a projection; then what the project is goes behind it.
    fn new(name: &str, kind: Kind, template: &[(String, &str)]) -> Names {
        let mut camel = camel(name);
        let is_taken = |word: &str| {
            template.iter().any(|(_, text)| {
                text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|found| found == word)
            })
        };
        if is_taken(&camel) {
            camel += &self::camel(kind.folder());
        }
        Names { name: name.to_owned(), camel, snake: name.replace('-', "_") }
    }

    fn fill(&self, text: &str) -> String {
        text.replace("{{name}}", &self.name)
            .replace("{{Name}}", &self.camel)
            .replace("{{name_snake}}", &self.snake)
    }
}

/// `my-shop` as `MyShop`.
fn camel(name: &str) -> String {
    name.split('-')
        .map(|part| {
            let mut letters = part.chars();
            let first = letters.next().map(|first| first.to_ascii_uppercase());
            first.into_iter().chain(letters).collect::<String>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum as _;

    // A template with a hole in it fails in the user's hands.
    #[test]
    fn every_template_is_filled_and_is_found_as_its_language() {
        let dir = tempfile::tempdir().unwrap();
        for language in Language::value_variants() {
            for kind in Kind::value_variants() {
                let path = dir.path().join(format!("{language}-{}", kind.folder()).to_lowercase());
                let made = match make(&path, *language, *kind) {
                    Ok(made) => made,
                    Err(error) => panic!("{error:#}"),
                };
                assert_eq!(Language::of(&path).unwrap(), *language, "{made:?}");
                assert!(made.files.iter().any(|file| file == "README.md"), "{made:?}");
                let ignored = fs::read_to_string(path.join(".gitignore")).unwrap();
                assert!(ignored.lines().any(|line| line.trim_matches('/') == ".lantern"), "{made:?}");
                for file in &made.files {
                    let text = fs::read_to_string(path.join(file)).unwrap();
                    assert!(
                        !text.contains("{{") || !text.contains("name"),
                        "{}/{file}: {text}",
                        path.display()
                    );
                }
                assert!(path.join(".lantern/sdk").join(language.sdk()).is_dir());
            }
        }
    }

    // The name becomes a package, a class and a file in eight languages.
    #[test]
    fn a_name_is_one_that_every_language_takes() {
        for name in ["balances", "my-shop", "a1"] {
            check_name(name).unwrap();
        }
        for name in ["", "My", "my_shop", "1a", "-a", "a-", "a--b", "é", &"a".repeat(65)] {
            assert!(check_name(name).unwrap_err().to_string().contains("my-shop"), "{name}");
        }
    }

    // A project called `account` is likely, and so is an example with a type of this name.
    #[test]
    fn the_name_takes_no_other_types_name() {
        let filled = |code: &str| {
            let template = [("lib.rs".to_owned(), code)];
            Names::new("my-shop", Kind::ProcessManager, &template).fill("{{name}} {{Name}} {{name_snake}}")
        };
        assert_eq!(filled("struct MyShops; struct {{Name}};"), "my-shop MyShop my_shop");
        assert_eq!(filled("struct MyShop; struct {{Name}};"), "my-shop MyShopProcessManager my_shop");
    }

    // Somebody's work must not be written over.
    #[test]
    fn a_folder_with_something_in_it_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let there = dir.path().join("shop");
        fs::create_dir(&there).unwrap();
        fs::write(there.join("work"), "").unwrap();
        let error = make(&there, Language::Rust, Kind::Projection).unwrap_err().to_string();
        assert!(error.contains("exists"), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(fs::read_dir(&there).unwrap().count(), 1);
    }
}
