//! What a run waits for: its text form, such as `first(2)`, and its bounds. What follows from it is decided in
//! [`join`](super::join).

use std::fmt;
use std::sync::Arc;

use serde_json::Value;
use thiserror::Error;

use super::output::{NAME_CHARS, abridged};
use super::task::hint;

/// How the joins are written.
const FORMS: &str = "all, any, first(k), quorum(k), best(score), vote(key)";
const NAMES: [&str; 6] = ["all", "any", "first", "quorum", "best", "vote"];
const PATH: &str = "a field's path in the outputs, such as `score` or `review.overall_score`, or in Python a function of \
                    the result";

/// What a run waits for.
#[derive(Debug, Clone, PartialEq)]
pub enum Until {
    /// The end of every task.
    All,
    /// One that completes.
    Any,
    /// So many that complete.
    First(usize),
    /// The same, for as long as it can be reached.
    Quorum(usize),
    /// The highest score.
    Best {
        /// Where it comes from.
        by: By,
        /// The score that is enough.
        enough: Option<f64>,
    },
    /// What most say.
    Vote {
        /// Where it comes from.
        by: By,
    },
}

/// Where the mark of a result comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// A field of its output: names and numbers of items, with dots between them.
    Path(Arc<str>),
    /// The caller's function of that name.
    Caller(Arc<str>),
}

/// Something that no run can wait for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`until` is `{value}`, expected {expected}")]
pub struct UntilError {
    value: String,
    expected: String,
}

/// A join as it is written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Spelling {
    /// Its name.
    pub name: String,
    /// How many are enough.
    pub k: Option<Value>,
    /// The field that counts.
    pub by: Option<Value>,
    /// The name of the caller's function that says what counts.
    pub caller: Option<String>,
    /// The score that is enough.
    pub enough: Option<Value>,
}

impl Spelling {
    /// Takes a text apart: `any`, `first(2)`, `best(score, enough=8)`.
    pub fn of(text: &str) -> Result<Self, UntilError> {
        let unreadable = || UntilError { value: abridged(text, NAME_CHARS), expected: format!("one of {FORMS}") };
        let Some((name, arguments)) = text.trim().split_once('(') else {
            return Ok(Self { name: text.trim().to_owned(), ..Self::default() });
        };
        let mut spelling = Self { name: name.trim().to_owned(), ..Self::default() };
        for argument in arguments.strip_suffix(')').ok_or_else(unreadable)?.split(',').map(str::trim) {
            let json = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
            let counts = matches!(&*spelling.name, "first" | "quorum");
            let place = match argument.split_once('=') {
                Some((key, value)) if key.trim() == "enough" => (&mut spelling.enough, json(value.trim())),
                Some(_) => return Err(unreadable()),
                None if counts => (&mut spelling.k, json(argument)),
                None if argument.contains(['(', ')', '"', '\'', '`']) => return Err(unreadable()),
                None => (&mut spelling.by, Value::from(argument)),
            };
            if place.0.replace(place.1).is_some() {
                return Err(unreadable());
            }
        }
        Ok(spelling)
    }

    fn error(&self, expected: impl Into<String>) -> UntilError {
        UntilError { value: self.to_string(), expected: expected.into() }
    }

    fn k(&self, tasks: usize) -> Result<usize, UntilError> {
        if tasks == 0 {
            return Err(self.error("a run with tasks to choose from, and this one has none"));
        }
        let whole = self.k.as_ref().and_then(Value::as_u64).and_then(|k| usize::try_from(k).ok());
        let form = &self.name;
        whole.filter(|k| (1..=tasks).contains(k)).ok_or_else(|| {
            self.error(format!("{form}(k) with a whole number from 1 to {tasks}: the run has {tasks} tasks"))
        })
    }

    fn by(&self) -> Result<By, UntilError> {
        let expected = || self.error(format!("{}({}) with {PATH}", self.name, self.argument()));
        match (&self.caller, &self.by) {
            (Some(name), None) => Ok(By::Caller(abridged(name, NAME_CHARS).into())),
            (None, Some(Value::String(path))) if path.split('.').all(|name| !name.trim().is_empty()) => {
                Ok(By::Path(path.as_str().into()))
            }
            (Some(_), Some(_)) | (None, _) => Err(expected()),
        }
    }

    fn argument(&self) -> &'static str {
        if self.name == "best" { "score" } else { "key" }
    }

    fn enough(&self) -> Result<Option<f64>, UntilError> {
        let Some(enough) = &self.enough else { return Ok(None) };
        let number = enough.as_f64().filter(|number| number.is_finite());
        number.map(Some).ok_or_else(|| self.error("`enough` to be a number, such as best(score, enough=8.5)"))
    }

    /// That nothing is given beside `takes`.
    fn takes(&self, takes: &[&str]) -> Result<(), UntilError> {
        let given = [
            ("k", self.k.is_some()),
            ("by", self.by.is_some() || self.caller.is_some()),
            ("enough", self.enough.is_some()),
        ];
        match given.iter().find(|(name, is_given)| *is_given && !takes.contains(name)) {
            None => Ok(()),
            Some(_) => Err(self.error(format!("one of {FORMS}"))),
        }
    }
}

impl fmt::Display for Spelling {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let enough = self.enough.as_ref().map(|enough| format!("enough={}", shown(enough)));
        let caller = self.caller.as_ref().map(|name| called(name));
        let arguments = [self.k.as_ref().map(shown), self.by.as_ref().map(shown), caller, enough];
        let arguments: Vec<String> = arguments.into_iter().flatten().collect();
        let arguments = if arguments.is_empty() { String::new() } else { format!("({})", arguments.join(", ")) };
        formatter.write_str(&abridged(&format!("{}{arguments}", self.name), NAME_CHARS))
    }
}

/// How a function is shown among arguments.
fn called(name: &str) -> String {
    format!("<{}>", name.trim_matches(['<', '>']))
}

impl Until {
    /// What is written there, for a run of so many tasks.
    pub fn new(spelling: &Spelling, tasks: usize) -> Result<Self, UntilError> {
        match &*spelling.name {
            "all" => spelling.takes(&[]).map(|()| Self::All),
            "any" => {
                spelling.takes(&[])?;
                let one = Spelling { k: Some(Value::from(1)), ..spelling.clone() };
                one.k(tasks).map(|_| Self::Any).map_err(|error| UntilError { value: spelling.to_string(), ..error })
            }
            "first" => {
                spelling.takes(&["k"])?;
                spelling.k(tasks).map(Self::First)
            }
            "quorum" => {
                spelling.takes(&["k"])?;
                spelling.k(tasks).map(Self::Quorum)
            }
            "best" => {
                spelling.takes(&["by", "enough"])?;
                Ok(Self::Best { by: spelling.by()?, enough: spelling.enough()? })
            }
            "vote" => {
                spelling.takes(&["by"])?;
                Ok(Self::Vote { by: spelling.by()? })
            }
            other => Err(spelling.error(format!("one of {FORMS}{}", hint(other, NAMES)))),
        }
    }
}

impl fmt::Display for Until {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => formatter.write_str("all"),
            Self::Any => formatter.write_str("any"),
            Self::First(k) => write!(formatter, "first({k})"),
            Self::Quorum(k) => write!(formatter, "quorum({k})"),
            Self::Best { by, enough: None } => write!(formatter, "best({by})"),
            Self::Best { by, enough: Some(enough) } => write!(formatter, "best({by}, enough={enough})"),
            Self::Vote { by } => write!(formatter, "vote({by})"),
        }
    }
}

impl By {
    /// What the field holds in `output`, if it is there.
    pub fn look<'output>(&self, output: &'output Value) -> Option<&'output Value> {
        let Self::Path(path) = self else { return None };
        path.split('.').try_fold(output, |value, name| match value {
            Value::Object(fields) => fields.get(name),
            Value::Array(items) => items.get(name.parse::<usize>().ok()?),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        })
    }
}

impl fmt::Display for By {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => formatter.write_str(&abridged(path, NAME_CHARS)),
            Self::Caller(name) => formatter.write_str(&called(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(text: &str, tasks: usize) -> Result<Until, String> {
        Spelling::of(text).and_then(|spelling| Until::new(&spelling, tasks)).map_err(|error| error.to_string())
    }

    #[test]
    fn every_join_is_written_as_it_is_read() {
        let path = |path: &str| By::Path(path.into());
        for (text, until) in [
            ("all", Until::All),
            ("any", Until::Any),
            ("first(2)", Until::First(2)),
            ("quorum(5)", Until::Quorum(5)),
            ("best(review.overall_score)", Until::Best { by: path("review.overall_score"), enough: None }),
            ("best(score, enough=8.5)", Until::Best { by: path("score"), enough: Some(8.5) }),
            ("best(score, enough=-1)", Until::Best { by: path("score"), enough: Some(-1.0) }),
            ("vote(items.0)", Until::Vote { by: path("items.0") }),
        ] {
            assert_eq!(read(text, 5), Ok(until.clone()), "{text}");
            assert_eq!(until.to_string(), text);
        }
        assert_eq!(read("  first( 2 ) ", 5), Ok(Until::First(2)));
        let by = By::Caller("<lambda>".into());
        assert_eq!(Until::Vote { by }.to_string(), "vote(<lambda>)");
    }

    #[test]
    fn what_is_no_join_is_refused_with_its_value_and_the_way_out() {
        for (text, expected) in [
            ("", "`until` is ``, expected one of all, any, first(k), quorum(k), best(score), vote(key)"),
            ("some", "`until` is `some`, expected one of all, any"),
            ("frist(2)", "vote(key) (did you mean `first`?)"),
            ("first", "`until` is `first`, expected first(k) with a whole number from 1 to 5: the run has 5 tasks"),
            ("first(0)", "`until` is `first(0)`, expected first(k) with a whole number from 1 to 5"),
            ("first(6)", "`until` is `first(6)`, expected first(k) with a whole number from 1 to 5"),
            ("quorum(-1)", "`until` is `quorum(-1)`, expected quorum(k) with a whole number from 1 to 5"),
            ("first(2.0)", "`until` is `first(2.0)`, expected first(k)"),
            ("first(true)", "`until` is `first(true)`, expected first(k)"),
            ("first(two)", "`until` is `first(two)`, expected first(k)"),
            ("first(1, 2)", "`until` is `first(1, 2)`, expected one of"),
            ("first(2", "`until` is `first(2`, expected one of"),
            ("first(2, enough=3)", "`until` is `first(2, enough=3)`, expected one of"),
            ("any(2)", "`until` is `any(2)`, expected one of"),
            ("best", "`until` is `best`, expected best(score) with a field's path in the outputs"),
            ("best()", "expected best(score) with a field's path"),
            ("best(a..b)", "`until` is `best(a..b)`, expected best(score) with a field's path"),
            ("best('score')", "`until` is `best('score')`, expected one of"),
            ("best(score, enough=much)", "`until` is `best(score, enough=much)`, expected `enough` to be a number"),
            ("best(score, least=8)", "`until` is `best(score, least=8)`, expected one of"),
            ("vote", "`until` is `vote`, expected vote(key) with a field's path"),
            ("vote(key, enough=2)", "`until` is `vote(key, enough=2)`, expected one of"),
        ] {
            let message = read(text, 5).expect_err(text);
            assert!(message.contains(expected), "{message:?} should contain {expected:?}");
        }
        assert_eq!(
            read("any", 0).expect_err("no tasks"),
            "`until` is `any`, expected a run with tasks to choose from, and this one has none"
        );
        let long = read(&"x\n".repeat(1_000), 5).expect_err("long");
        assert!(long.len() < 400 && !long.contains('\n'), "{long}");
        let number = Spelling { name: "vote".to_owned(), by: Some(json!(5)), ..Spelling::default() };
        let message = Until::new(&number, 5).expect_err("no text").to_string();
        assert!(message.starts_with("`until` is `vote(5)`, expected vote(key) with a field's path"), "{message}");
    }

    #[test]
    fn a_path_leads_through_objects_and_lists() {
        let output = json!({"a": {"b": [{"c": 1}, 2]}, "a.b": 3, "none": null});
        for (path, found) in [
            ("a.b.0.c", Some(json!(1))),
            ("a.b.1", Some(json!(2))),
            ("none", Some(json!(null))),
            ("a.b.2", None),
            ("a.b.x", None),
            ("a.b.1.c", None),
            ("b", None),
        ] {
            assert_eq!(By::Path(path.into()).look(&output), found.as_ref(), "{path}");
        }
        assert_eq!(By::Path("a".into()).look(&json!("text")), None);
    }
}
