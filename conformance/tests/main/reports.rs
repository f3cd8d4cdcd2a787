//! The reports, made from cases that were really run in memory.

use std::fs;
use std::path::{Path, PathBuf};

use quick_junit::TestCaseStatus;
use sansws_conformance::case::Case;
use sansws_conformance::cases;
use sansws_conformance::engine::{Outcome, Patience};
use sansws_conformance::report::baseline::{Baseline, BaselineError};
use sansws_conformance::report::{Agent, Entry, Format, Report, html, names, write};
use sansws_conformance::run::memory::{Subject, run};
use sansws_conformance::script::{Peer, Setting};
use sansws_conformance::subjects::{Core, Tungstenite};
use sansws_conformance::verdict::Verdict;
use serde_json::Value;

/// Cases of each kind: an echo, a close, a fault, an extension, one for servers only, and long ones.
const RUN: [&str; 9] = [
    "1.1.1", "2.5", "5.19", "6.4.1", "7.1.6", "7.5.1", "9.7.1", "12.1.1", "20.1.1",
];

const BOTH: [Peer; 2] = [Peer::Server, Peer::Client];

fn outcome(case: &Case, peer: Peer, subject: &mut dyn Subject) -> Outcome {
    let setting = Setting {
        quick: true,
        ..Setting::new(peer)
    };
    run(case, &setting, Patience::default(), subject)
}

fn agent(cases: &[Case], name: &str, peer: Peer, new: fn(Peer) -> Box<dyn Subject>) -> Agent {
    let entries = cases
        .iter()
        .enumerate()
        .filter(|(_, case)| RUN.contains(&case.id.as_str()) && case.is_for(peer))
        .map(|(at, case)| Entry {
            case: at,
            outcome: outcome(case, peer, new(peer).as_mut()),
        })
        .collect();
    Agent::new(name, peer, entries)
}

fn report<'a>(cases: &'a [Case]) -> Report<'a> {
    let mut agents = Vec::new();
    for peer in BOTH {
        agents.push(agent(cases, "core", peer, |peer| Box::new(Core::new(peer))));
        agents.push(agent(cases, "tungstenite", peer, |peer| {
            Box::new(Tungstenite::new(peer))
        }));
    }
    Report {
        cases,
        agents,
        made: 951_827_696,
        quick: true,
        seed: 7,
    }
}

/// A directory of its own, gone at the end.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.text(name)).unwrap()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_index_has_the_classic_shape_and_names_files_that_exist() {
    let all = cases::all();
    let report = report(&all);
    let dir = Dir::new("index");
    let files = write(&report, &dir.0, &[Format::Json]).unwrap();
    assert_eq!(files, [dir.0.join("index.json")]);

    let index = dir.json("index.json");
    let agents: Vec<&String> = index.as_object().unwrap().keys().collect();
    assert_eq!(
        agents,
        [
            "core",
            "core (client)",
            "tungstenite",
            "tungstenite (client)"
        ]
    );
    assert_eq!(index["core"].as_object().unwrap().len(), RUN.len());
    for (agent, cases) in index.as_object().unwrap() {
        for (id, entry) in cases.as_object().unwrap() {
            let keys: Vec<&String> = entry.as_object().unwrap().keys().collect();
            assert_eq!(
                keys,
                [
                    "behavior",
                    "behaviorClose",
                    "duration",
                    "remoteCloseCode",
                    "reportfile"
                ]
            );
            assert!(Verdict::parse(entry["behavior"].as_str().unwrap()).is_some());
            assert!(Verdict::parse(entry["behaviorClose"].as_str().unwrap()).is_some());
            assert!(entry["duration"].is_u64());
            let detail = dir.json(entry["reportfile"].as_str().unwrap());
            assert_eq!(detail["agent"], agent.as_str());
            assert_eq!(detail["id"], id.as_str());
            assert_eq!(detail["behavior"], entry["behavior"]);
        }
    }
}

#[test]
fn the_file_of_a_case_has_what_went_over_the_wire() {
    let all = cases::all();
    let dir = Dir::new("detail");
    write(&report(&all), &dir.0, &[Format::Json]).unwrap();
    let detail = dir.json("tungstenite_case_1_1_1.json");
    assert_eq!(detail["case"], 1);
    assert_eq!(detail["isServer"], false);
    assert_eq!(detail["wasClean"], true);
    assert_eq!(detail["localCloseCode"], 1000);
    assert_eq!(detail["remoteCloseCode"], 1000);
    assert_eq!(detail["started"], "2000-02-29T12:34:56Z");
    assert_eq!(detail["reportTime"], false);
    assert_eq!(detail["roundTrips"], Value::Null);
    assert_eq!(
        detail["txFrameStats"],
        serde_json::json!({ "1": 1, "8": 1 })
    );
    assert_eq!(detail["rxFrameStats"], detail["txFrameStats"]);

    let log = detail["wireLog"].as_array().unwrap();
    assert_eq!(log[0]["kind"], "http");
    assert_eq!(log[0]["who"], "suite");
    assert!(
        log[0]["text"]
            .as_str()
            .unwrap()
            .starts_with("GET / HTTP/1.1\r\n")
    );
    let echo = log.iter().find(|line| line["header"] == "8100").unwrap();
    assert_eq!(echo["who"], "peer");
    assert_eq!(echo["length"], 0);
    assert_eq!(echo["payload"], "");

    let client = dir.json("tungstenite__client__case_9_7_1.json");
    assert_eq!(client["isServer"], true);
    assert_eq!(client["roundTrips"].as_array().unwrap().len(), 3);
}

#[test]
fn the_junit_file_has_a_test_for_each_case() {
    let all = cases::all();
    let mut report = report(&all);
    let outcome = &mut report.agents[0].entries[1].outcome;
    outcome.close = Verdict::Unclean;
    outcome.says = "it said </testcase> & left \u{1}".into();
    let dir = Dir::new("junit");
    write(&report, &dir.0, &[Format::Junit]).unwrap();

    let suites = quick_junit::Report::deserialize_from_str(&dir.text("junit.xml")).unwrap();
    let counts: Vec<usize> = suites.test_suites.iter().map(|suite| suite.tests).collect();
    let want: Vec<usize> = report
        .agents
        .iter()
        .map(|agent| agent.entries.len())
        .collect();
    assert_eq!(counts, want);

    let core = &suites.test_suites[0];
    assert_eq!(core.failures, 1);
    let failed = &core.test_cases[1];
    assert_eq!(failed.name.as_str(), "2.5");
    assert_eq!(
        failed.classname.as_ref().unwrap().as_str(),
        "Pings and pongs"
    );
    let TestCaseStatus::NonSuccess { ty, message, .. } = &failed.status else {
        panic!("{failed:?}");
    };
    assert_eq!(ty.as_ref().unwrap().as_str(), "UNCLEAN");
    assert_eq!(
        message.as_ref().unwrap().as_str(),
        "it said </testcase> & left "
    );

    // It has no permessage-deflate.
    let tungstenite = &suites.test_suites[1];
    assert_eq!(tungstenite.name.as_str(), "tungstenite");
    let declined = tungstenite
        .test_cases
        .iter()
        .find(|test| test.name.as_str() == "12.1.1");
    let status = &declined.unwrap().status;
    assert!(
        matches!(status, TestCaseStatus::Skipped { .. }),
        "{status:?}"
    );
}

#[test]
fn the_page_stands_alone() {
    let all = cases::all();
    let page = html::page(&report(&all), true).unwrap();
    let (before, rest) = page
        .split_once("<script type=\"application/json\" id=\"data\">")
        .unwrap();
    let (data, after) = rest.split_once("</script>").unwrap();
    let shell = format!("{before}{after}");
    for load in [
        "src=",
        "@import",
        "url(",
        "fetch(",
        "XMLHttpRequest",
        "import(",
        "href=\"http",
        "{{",
    ] {
        assert!(!shell.contains(load), "{load}");
    }
    assert!(shell.contains("default-src 'none'"));
    assert_eq!(shell.matches("<link").count(), 1);
    assert!(shell.contains("<link rel=\"icon\" href=\"data:,\">"));

    let data: Value = serde_json::from_str(data).unwrap();
    assert_eq!(data["cases"].as_array().unwrap().len(), RUN.len());
    assert_eq!(data["agents"].as_array().unwrap().len(), 4);
    assert_eq!(
        data["agents"][0]["entries"].as_array().unwrap().len(),
        RUN.len()
    );
    let strings = data["strings"].as_array().unwrap().len() as u64;
    for line in data["lines"].as_array().unwrap() {
        for place in [&line[2], &line[4]] {
            assert!(place.is_null() || place.as_u64().unwrap() < strings);
        }
    }
}

#[test]
fn the_page_escapes_what_a_peer_chose() {
    let evil = "<script>alert(1)</script>";
    let all = cases::all();
    let mut report = report(&all);
    report.agents[0].name = evil.into();
    let outcome = &mut report.agents[1].entries[0].outcome;
    outcome.says = format!("it sent {evil}{{{{data}}}}");
    outcome.remote_reason = Some("</script><img src=x onerror=alert(1)>".into());
    let page = html::page(&report, false).unwrap();
    assert!(!page.contains("<script>alert"));
    assert!(!page.contains("<img"));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(page.contains("\\u003cscript>alert(1)\\u003c/script>{{data}}"));
    // Its data, and its own script.
    assert_eq!(page.matches("</script").count(), 2);
}

#[test]
fn all_forms_are_written_side_by_side() {
    let all = cases::all();
    let report = report(&all);
    let dir = Dir::new("all");
    let formats = [Format::Html, Format::Json, Format::Junit];
    let files = write(&report, &dir.0, &formats).unwrap();
    let names = ["index.html", "index.json", "junit.xml"].map(|name| dir.0.join(name));
    assert_eq!(files, names);
    for file in files {
        assert!(fs::metadata(file).unwrap().len() > 1000);
    }
}

#[test]
fn runs_that_write_to_one_directory_leave_whole_files() {
    let all = cases::all();
    let dir = Dir::new("shared");
    let files = ["index.html", "index.json", "junit.xml"];
    let formats = [Format::Html, Format::Json, Format::Junit];
    // Of different lengths, with equal names.
    let texts = [1, 9].map(|count| {
        let mut report = report(&all);
        for agent in &mut report.agents {
            agent.entries.truncate(count);
        }
        write(&report, &dir.0, &formats).unwrap();
        (files.map(|file| dir.text(file)), report)
    });
    std::thread::scope(|scope| {
        for (_, report) in &texts {
            scope.spawn(|| (0..50).for_each(|_| drop(write(report, &dir.0, &formats).unwrap())));
        }
        for _ in 0..200 {
            for (at, file) in files.iter().enumerate() {
                let found = dir.text(file);
                let is_one = texts.iter().any(|(texts, _)| texts[at] == found);
                assert!(is_one, "{file} is {} bytes of neither", found.len());
            }
        }
    });
    let names = fs::read_dir(&dir.0)
        .unwrap()
        .map(|file| file.unwrap().path());
    let parts: Vec<PathBuf> = { names }
        .filter(|path| path.extension().is_some_and(|end| end == "part"))
        .collect();
    assert_eq!(parts, [] as [PathBuf; 0]);
}

#[test]
fn agents_of_hostile_names_stay_in_their_directory() {
    let all = cases::all();
    let mut report = report(&all);
    for (agent, name) in report
        .agents
        .iter_mut()
        .zip(["../../x", "..\\..\\x", "", "/"])
    {
        agent.name = name.into();
    }
    let dir = Dir::new("hostile/inner");
    write(&report, &dir.0, &[Format::Json]).unwrap();
    let runs: usize = report.agents.iter().map(|agent| agent.entries.len()).sum();
    assert_eq!(fs::read_dir(&dir.0).unwrap().count(), runs + 1);
    assert_eq!(fs::read_dir(dir.0.parent().unwrap()).unwrap().count(), 1);
    assert_eq!(names(&report)[0].stem, "______x");
}

#[test]
fn a_baseline_tells_what_changed() {
    let all = cases::all();
    let mut report = report(&all);
    let dir = Dir::new("baseline");
    report.agents[0].entries[2].outcome.behavior = Verdict::Failed;
    write(&report, &dir.0, &[Format::Json]).unwrap();
    let baseline = Baseline::read(&dir.0.join("index.json")).unwrap();
    assert_eq!(baseline.compare(&report), Default::default());

    let entries = &mut report.agents[0].entries;
    entries[0].outcome.close = Verdict::Unclean;
    entries[1].outcome.behavior = Verdict::Informational;
    entries[2].outcome.behavior = Verdict::NonStrict;
    entries.remove(5);
    report.agents[1].name = "another".into();
    report.agents[1].entries[0].outcome.behavior = Verdict::Failed;
    report.agents[1].entries.truncate(2);
    let found = baseline.compare(&report);
    let worse: Vec<String> = found.worse.iter().map(ToString::to_string).collect();
    assert_eq!(
        worse,
        [
            "core: case 1.1.1: OK, close OK -> OK, close UNCLEAN",
            "core: case 2.5: OK, close OK -> INFORMATIONAL, close OK"
        ]
    );
    let better: Vec<String> = found.better.iter().map(ToString::to_string).collect();
    assert_eq!(
        better,
        ["core: case 5.19: FAILED, close OK -> NON-STRICT, close OK"]
    );
    let gone: Vec<String> = found.missing.iter().map(ToString::to_string).collect();
    assert_eq!(gone[0], "core: case 7.5.1");
    assert!(
        gone[1..]
            .iter()
            .all(|place| place.starts_with("tungstenite"))
    );
    assert_eq!(found.fresh.len(), 1);
    assert_eq!(found.fresh[0].0.to_string(), "another: case 1.1.1");
}

#[test]
fn a_baseline_of_the_classic_suite_is_read() {
    let classic = r#"{
       "core": {
          "1.1.1": { "behavior": "OK", "behaviorClose": "OK", "duration": 2, "remoteCloseCode": 1000, "reportfile": "core_case_1_1_1.json" },
          "7.1.6": { "behavior": "INFORMATIONAL", "behaviorClose": "INFORMATIONAL", "duration": 4, "remoteCloseCode": null, "reportfile": "core_case_7_1_6.json" },
          "12.1.1": { "behavior": "UNIMPLEMENTED", "behaviorClose": "OK", "duration": 4, "remoteCloseCode": 1000, "reportfile": "core_case_12_1_1.json" }
       }
    }"#;
    let all = cases::all();
    let found = Baseline::parse(classic).unwrap().compare(&report(&all));
    assert!(found.worse.is_empty() && found.missing.is_empty());
    assert!(
        found
            .better
            .iter()
            .any(|change| change.place.case == "12.1.1")
    );
}

#[test]
fn a_file_that_is_no_baseline_is_refused() {
    for text in ["", "[]", "{\"a\": 1}", "{\"a\": {\"1.1.1\": {}}}"] {
        let error = Baseline::parse(text).unwrap_err();
        assert!(matches!(error, BaselineError::Json(_)), "{text}: {error}");
    }
    let odd = r#"{"a": {"1.1.1": {"behavior": "FINE", "behaviorClose": "OK"}}}"#;
    let error = Baseline::parse(odd).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the baseline has no verdict for a: case 1.1.1, but \"FINE\""
    );
    let error = Baseline::read(Path::new("no/such/file")).unwrap_err();
    assert!(matches!(error, BaselineError::Io(_)));
}
