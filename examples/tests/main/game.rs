//! The game: players of a field see each other move, tick by tick, and nobody of another field.

use serde_json::{Value, json};

use crate::support::{Client, start};

/// Returns the next state, and checks that ticks follow each other.
async fn state(client: &mut Client, last: &mut u64) -> Vec<Value> {
    let state = client.next().await;
    let tick = state["tick"].as_u64().unwrap();
    assert!(*last == 0 || tick == *last + 1, "{last} then {tick}");
    *last = tick;
    state["players"].as_array().unwrap().clone()
}

#[tokio::test]
async fn players_see_each_other_move_and_leave() {
    let (_running, url) = start(env!("CARGO_BIN_EXE_game"), "mio");
    let mut ada = Client::connect(&format!("{url}/field/meadow?name=ada")).await;
    let mut bob = Client::connect(&format!("{url}/field/meadow?name=bob")).await;
    let mut far = Client::connect(&format!("{url}/field/forest?name=far")).await;
    let (mut of_ada, mut of_bob, mut of_far) = (0, 0, 0);
    while state(&mut ada, &mut of_ada).await.len() < 2 {}
    ada.send(r#"{"dx":1,"dy":-9}"#).await;
    // The other one sees it walk, one step a tick and in bounds.
    let mut seen = Vec::new();
    while seen.len() < 60 {
        let players = state(&mut bob, &mut of_bob).await;
        let walker = players.iter().find(|one| one["name"] == "ada").unwrap();
        let at = (walker["x"].as_i64().unwrap(), walker["y"].as_i64().unwrap());
        if at != (50, 50) {
            seen.push(at);
        }
    }
    for (steps, at) in (1..).zip(&seen) {
        assert_eq!(*at, ((50 + steps).min(99), (50 - steps).max(0)));
    }
    let others = state(&mut far, &mut of_far).await;
    assert_eq!(others, [json!({"name": "far", "x": 50, "y": 50})]);
    ada.0.close(1000, "").await.unwrap();
    while state(&mut bob, &mut of_bob).await.len() > 1 {}
    // An invalid walk ends with 1007, for its sender alone.
    far.send("north").await;
    let error = loop {
        match far.0.receive().await {
            Ok(Some(_)) => {}
            other => break other.unwrap_err(),
        }
    };
    assert!(error.to_string().contains("1007"), "{error}");
    state(&mut bob, &mut of_bob).await;
}
