//! The report that continuous integration reads: JUnit's XML.

use super::report::{Report, Tested};
use std::fmt::Write as _;

/// The report as XML: each file of tests is a suite.
pub fn write(report: &Report) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing to a string does not fail.
    let _ = writeln!(
        out,
        "<testsuites name=\"{}\" tests=\"{}\" failures=\"{}\" time=\"{:.3}\">",
        escape(&report.plugin),
        report.cases.len(),
        report.failed,
        report.seconds
    );
    for suite in report.cases.chunk_by(|one, other| one.file == other.file) {
        let failed = suite.iter().filter(|tested| !tested.passed).count();
        let seconds: f64 = suite.iter().map(|tested| tested.seconds).sum();
        let name = suite.first().map(|tested| escape(&tested.file)).unwrap_or_default();
        let (count, failures) = (suite.len(), failed);
        let _ = writeln!(
            out,
            "  <testsuite name=\"{name}\" tests=\"{count}\" failures=\"{failures}\" time=\"{seconds:.3}\">"
        );
        for tested in suite {
            case(&mut out, &report.plugin, tested);
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

fn case(out: &mut String, plugin: &str, tested: &Tested) {
    let Tested { case, file, line, seconds, .. } = tested;
    let (name, class, file) = (escape(case), escape(plugin), escape(file));
    let _ = write!(
        out,
        "    <testcase name=\"{name}\" classname=\"{class}\" file=\"{file}\" line=\"{line}\" time=\"{seconds:.3}\""
    );
    match tested.problems.first() {
        None => out.push_str("/>\n"),
        Some(problem) => {
            let (message, text) = (escape(&problem.text), escape(&tested.explain()));
            let _ =
                writeln!(out, ">\n      <failure message=\"{message}\">{text}</failure>\n    </testcase>");
        }
    }
}

/// A text as it may stand in XML: what XML cannot hold at all is shown as Rust escapes it.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\u{fffe}' | '\u{ffff}' => out.extend(c.escape_unicode()),
            c if c.is_control() && c != '\t' => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    // A message of a plugin may hold anything, and a report that does not parse is lost whole.
    #[test]
    fn any_text_can_stand_in_a_report() {
        assert_eq!(escape("a<b>&\"c\"\n\u{1}\u{ffff}ä"), "a&lt;b&gt;&amp;&quot;c&quot;&#10;\\u{1}\\u{ffff}ä");
    }
}
