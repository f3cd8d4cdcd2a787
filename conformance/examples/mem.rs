use sansws_conformance::*;
fn main() {
    let filter = std::env::args().nth(1).unwrap_or("*".into());
    let which = std::env::args().nth(2).unwrap_or("core".into());
    for peer in [script::Peer::Server, script::Peer::Client] {
        let begin = std::time::Instant::now();
        let mut counts = std::collections::BTreeMap::new();
        for case in cases::all() {
            if !case.is_for(peer) || !glob_match::glob_match(&filter, &case.id) {
                continue;
            }
            let setting = script::Setting {
                peer,
                target: "/".into(),
                host: "memory".into(),
                quick: true,
            };
            let t = std::time::Instant::now();
            let outcome = match which.as_str() {
                "core" => run::memory::run(
                    &case,
                    &setting,
                    Default::default(),
                    &mut subjects::Core::new(peer),
                ),
                _ => run::memory::run(
                    &case,
                    &setting,
                    Default::default(),
                    &mut subjects::Tungstenite::new(peer),
                ),
            };
            *counts.entry(outcome.worst()).or_insert(0) += 1;
            if outcome.worst() != verdict::Verdict::Ok {
                println!(
                    "{peer:?} {} {} {} {}",
                    case.id, outcome.behavior, outcome.close, outcome.says
                );
                if std::env::args().nth(3).is_some() {
                    for line in &outcome.record.lines {
                        println!("   {:?}", line)
                    }
                }
            }
            if t.elapsed().as_millis() > 300 {
                println!("{} {:?}", case.id, t.elapsed());
            }
        }
        println!("{peer:?} {counts:?} {:?}", begin.elapsed());
    }
}
