//! Layerhouse beside a real registry:2: the same file, environment and traffic, and the same answers but
//! for the differences that were chosen.

mod chosen;
mod compare;
mod contents;
mod corpus;
mod general;
pub(crate) mod registries;
mod settings;
mod sign_in;
mod tokens;
mod traffic;
mod wire;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::sync::Mutex;

use chosen::CHOSEN;
use registries::{Program, Registry, is_registry2_installed};
use settings::Setting;
use traffic::{Captures, Contents, Request};
use wire::Wire;

/// One of the two, and what it told so far.
struct Side {
    registry: Registry,
    wire: Wire,
    captures: Captures,
}

impl Side {
    fn start(program: Program, setting: &Setting) -> Result<Self, String> {
        let directory = setting.directory.path().join(format!("{program:?}"));
        fs::create_dir(&directory).expect("each has its own");
        let registry = Registry::start(
            program,
            &directory,
            &setting.directory.path().join("config.yml"),
            &setting.environment,
        )?;
        let wire = Wire {
            address: registry.address,
            tls: setting.tls.clone(),
        };
        Ok(Self {
            registry,
            wire,
            captures: Captures::default(),
        })
    }

    fn answer(
        &mut self,
        line: &str,
        setting: &Setting,
        contents: &Contents,
    ) -> Result<Answered, String> {
        let mut request = Request::parse(line, setting.prefix, &self.captures, contents);
        setting.sign_in(&mut request);
        let answer = self
            .wire
            .send(
                &request.method,
                &request.path,
                &request.headers,
                &request.body,
            )
            .map_err(|error| format!("{error}\n{}", self.registry.log()))?;
        self.captures.remember(&request.method, &answer);
        Ok((request, answer))
    }
}

type Answered = (Request, crate::harness::http::Response);

/// What came of one setting.
#[derive(Default)]
struct Outcome {
    problems: String,
    /// Which rows of [`CHOSEN`] were met.
    met: BTreeSet<usize>,
}

/// Replays all traffic of a setting.
fn replay(setting: &Setting, contents: &Contents) -> Outcome {
    let mut outcome = Outcome::default();
    let sides = (
        Side::start(Program::Registry2, setting),
        Side::start(Program::Layerhouse, setting),
    );
    let (mut registry2, mut layerhouse) = match sides {
        (Ok(registry2), Ok(layerhouse)) => (registry2, layerhouse),
        (registry2, layerhouse) => {
            for problem in [registry2.err(), layerhouse.err()].into_iter().flatten() {
                let _ = writeln!(
                    outcome.problems,
                    "{} does not start: {problem}",
                    setting.name
                );
            }
            return outcome;
        }
    };
    for line in setting.lines() {
        if let Some(change) = line.strip_prefix("restart") {
            let change = change.trim().split_once('=');
            registry2.registry.restart(change);
            layerhouse.registry.restart(change);
            continue;
        }
        let answers = (
            registry2.answer(line, setting, contents),
            layerhouse.answer(line, setting, contents),
        );
        let (request, left, right) = match answers {
            (Ok((request, left)), Ok((_, right))) => (request, left, right),
            (left, right) => {
                for problem in [left.err(), right.err()].into_iter().flatten() {
                    let _ = writeln!(
                        outcome.problems,
                        "{} ends at {line}: {problem}",
                        setting.name
                    );
                }
                return outcome;
            }
        };
        let differences = compare::differences(&request.method, &left, &right);
        let mut is_shown = false;
        for difference in differences {
            let rows: Vec<usize> = chosen::rows(setting.name, line, &difference);
            if rows.is_empty() {
                if !is_shown {
                    let shown: String = line.chars().take(200).collect();
                    let _ = writeln!(outcome.problems, "{}  {shown}", setting.name);
                    is_shown = true;
                }
                let _ = writeln!(outcome.problems, "        {difference}");
            }
            outcome.met.extend(rows);
        }
    }
    outcome
}

#[test]
fn registry_2_and_layerhouse_answer_alike() {
    if !is_registry2_installed() {
        skipped();
        return;
    }
    let contents = contents::all();
    let settings = Mutex::new(settings::all());
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        // More than processors: both programs wait for the disk most of the time.
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let next = settings.lock().unwrap().pop();
                    let Some(setting) = next else { return };
                    let outcome = replay(&setting, &contents);
                    outcomes.lock().unwrap().push(outcome);
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap();
    let problems: String = outcomes.iter().map(|outcome| &*outcome.problems).collect();
    assert!(
        problems.is_empty(),
        "differences (registry:2's → Layerhouse's) that are not in `CHOSEN`:\n{problems}"
    );
    let met: BTreeSet<usize> = outcomes
        .into_iter()
        .flat_map(|outcome| outcome.met)
        .collect();
    let unmet = CHOSEN
        .iter()
        .enumerate()
        .filter(|(at, _)| !met.contains(at));
    let unmet: Vec<_> = unmet.map(|(_, row)| row).collect();
    assert!(unmet.is_empty(), "not to be seen any more: {unmet:#?}");
}

fn skipped() {
    let _ = writeln!(
        std::io::stderr(),
        "skipped: docker-registry is not installed"
    );
}

/// Differences are listed in the document and nowhere else: each row that is allowed here is there, and
/// each row there is shown, here or by the test that is named.
#[test]
fn the_document_lists_the_chosen_differences() {
    let document = include_str!("../../../../docs/reference/differences.md");
    let listed: BTreeSet<&str> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(id, _)| id)
        .collect();
    let shown: BTreeSet<&str> = CHOSEN
        .iter()
        .map(|row| row.id)
        .chain(chosen::SHOWN_ELSEWHERE.iter().map(|(id, _)| *id))
        .collect();
    assert_eq!(listed, shown);
}
