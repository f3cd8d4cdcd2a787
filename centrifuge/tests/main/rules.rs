//! Rules of the protocol, one in each test.

use std::sync::Arc;
use std::time::Duration;

use sansws_centrifuge::session::{Answer, Connect, Control, Question, Subscribe};
use sansws_centrifuge::{Access, ClientError, Disconnect, Namespace, Options};
use sansws_core::hub::{
    ChannelOptions, Encoding, HistoryOptions, HubOptions, Instruction, JoinOptions, LocalHub,
    Signal, Target,
};
use sansws_core::limits::Rate;
use sansws_core::random::Seed;
use serde_json::{Value, json};

use crate::world::{World, options};

fn code(value: &Value) -> u64 {
    value["error"]["code"].as_u64().unwrap_or(0)
}

fn subscribe(world: &mut World, more: &Value) -> Value {
    let mut request = json!({"channel": "chat:tea"});
    let fields = more.as_object().unwrap().clone();
    request.as_object_mut().unwrap().extend(fields);
    world.send(&json!({"id": 5, "subscribe": request}).to_string());
    let all = world.take();
    all.into_iter().find(|one| one["id"] == 5).unwrap()
}

#[test]
fn violations_of_the_protocol_end_the_connection_for_good() {
    for text in [
        "",
        "x",
        r#"{"id":1,"subscribe":{"channel":"chat:a"}}"#,
        r#"{"id":1,"ping":{}}"#,
        "{\"id\":1,\"connect\":{}}\n{\"id\":2,\"connect\":{}}",
        "{\"id\":1,\"connect\":{}}\n{\"id\":2,\"publish\":{\"data\":1}}",
    ] {
        let mut world = World::new(options());
        world.send(text);
        assert_eq!(world.close_code(), Some(3501), "{text}");
        world.take();
        world.send(r#"{"id":9,"ping":{}}"#);
        assert!(world.take().is_empty(), "nothing follows");
    }
}

#[test]
fn a_client_authenticates_in_time_or_is_stale() {
    let mut world = World::new(options());
    world.pass(Duration::from_secs(14));
    assert_eq!(world.close_code(), None);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.close_code(), Some(3502));
}

#[test]
fn pings_come_on_time_and_have_to_be_answered() {
    let mut world = World::connected(options());
    world.pass(Duration::from_secs(250));
    let pings = world.take();
    assert!((10..=11).contains(&pings.len()) && pings.iter().all(|ping| *ping == json!({})));
    world.answers_pings = false;
    world.pass(Duration::from_secs(36));
    assert_eq!(world.close_code(), Some(3012));
}

#[test]
fn pings_of_any_interval_neither_fail_nor_follow_each_other_at_once() {
    // The first interval at which the largest share of a half would not fit.
    for ping in [Duration::MAX, Duration::MAX / 40] {
        let mut world = World::new(Options { ping, ..options() });
        world.now = world.now + Duration::from_micros(990_000);
        world.send(r#"{"id":1,"connect":{}}"#);
        assert_eq!(world.take()[0]["connect"]["ping"], u32::MAX);
        assert_eq!(world.close_code(), None);
    }
    let ping = Duration::from_nanos(1);
    let mut world = World::connected(Options { ping, ..options() });
    world.now = world.session.deadline().unwrap();
    for _ in 0..3 {
        world.session.tick(world.now);
        world.settle();
        assert_eq!(world.take(), [json!({})]);
        world.send("{}");
        let due = world.session.deadline().unwrap();
        assert!(due.since(world.now) >= Duration::from_millis(1));
        world.now = due;
    }
    // 0 seconds would mean that none come.
    let mut world = World::new(Options { ping, ..options() });
    world.send(r#"{"id":1,"connect":{}}"#);
    assert_eq!(world.take()[0]["connect"]["ping"], 1);
}

#[test]
fn no_bound_is_too_large() {
    let mut options = Options {
        max_channels: usize::MAX,
        max_commands: usize::MAX,
        max_history: usize::MAX,
        user_connections: Some(usize::MAX),
        commands: Some(Rate::new(u64::MAX, Duration::MAX).burst(u64::MAX)),
        connect_timeout: Duration::MAX,
        ping: Duration::MAX,
        pong: Duration::MAX,
        grace: Duration::MAX,
        ..options()
    };
    let history = HistoryOptions {
        messages: usize::MAX,
        bytes: usize::MAX,
        age: Duration::MAX,
        recovery: usize::MAX,
    };
    let chat = options.namespaces.get_mut("chat").unwrap();
    chat.history = Some(history);
    let mut world = World::connected(options);
    assert!(subscribe(&mut world, &json!({}))["subscribe"].is_object());
    let published = r#"{"id":6,"publish":{"channel":"chat:tea","data":1}}"#;
    world.send(published);
    let all = world.take();
    assert!(all.iter().any(|one| one["publish"].is_object()), "{all:?}");
    let asked = r#"{"id":7,"history":{"channel":"chat:tea","limit":-1}}"#;
    let history = world.ask(asked);
    assert_eq!(
        history["history"]["publications"].as_array().unwrap().len(),
        1
    );
    world.pass(Duration::from_secs(1_000_000));
    assert_eq!(world.close_code(), None);
}

#[test]
fn a_hub_that_was_not_prepared_refuses_all_clients_instead_of_telling_them_nothing() {
    let mut world = World::new(options());
    world.hub = LocalHub::new(Seed::new([3; 32]), Arc::new(HubOptions::default()));
    world.send(r#"{"id":1,"connect":{}}"#);
    assert_eq!(world.close_code(), Some(3501));
}

#[test]
fn a_namespace_that_tells_all_clients_who_joins_needs_no_other_option() {
    let told = Namespace {
        force_join_leave: true,
        ..Namespace::default().subscribe().read(Access::Subscribers)
    };
    let mut world = World::connected(options().namespace("chat", told));
    subscribe(&mut world, &json!({}));
    let presence = world.ask(r#"{"id":6,"presence":{"channel":"chat:tea"}}"#);
    assert_eq!(
        presence["presence"]["presence"].as_object().unwrap().len(),
        1
    );
    let other = ChannelOptions {
        encoding: Encoding::Format(0),
        ..ChannelOptions::default()
    };
    let other = world.hub.open(world.now, other).unwrap();
    let info = json!({"user": "bob", "client": "c"}).to_string();
    let join = JoinOptions {
        metadata: Some(info.into()),
        ..JoinOptions::default()
    };
    world.hub.join(world.now, other, "chat:tea", join).unwrap();
    world.settle();
    let joined = world.take();
    assert_eq!(joined[0]["push"]["join"]["info"]["user"], "bob");
}

#[test]
fn an_expired_connection_has_a_grace_period_and_can_be_refreshed() {
    let mut world = World::new(options());
    let connect = Connect {
        expires: Some(world.now + Duration::from_secs(10)),
        ..Connect::user("ada")
    };
    world.answers = vec![Answer::Connect(connect.clone())];
    world.send(r#"{"id":1,"connect":{}}"#);
    let connected = &world.take()[0]["connect"];
    assert_eq!(
        (&connected["expires"], &connected["ttl"]),
        (&json!(true), &json!(10))
    );
    world.pass(Duration::from_secs(11));
    world.take();
    let refreshed = world.ask(r#"{"id":2,"refresh":{"token":"t"}}"#);
    assert_eq!(refreshed["refresh"]["ttl"], 60);
    world.pass(Duration::from_secs(84));
    assert_eq!(world.close_code(), None);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.close_code(), Some(3005));
}

#[test]
fn a_connection_expires_by_the_clock_of_the_system_also_when_that_is_set() {
    let hours = |count: u64| Duration::from_secs(count * 3600);
    let mut world = World::new(options());
    let unix = world.now + hours(2);
    world.session.set_unix_time(world.now, unix);
    let connect = Connect {
        expires: Some(unix + Duration::from_secs(10)),
        ..Connect::user("ada")
    };
    world.answers = vec![Answer::Connect(connect)];
    world.send(r#"{"id":1,"connect":{}}"#);
    assert_eq!(world.take()[0]["connect"]["ttl"], 10);
    world.pass(Duration::from_secs(34));
    assert_eq!(world.close_code(), None);
    // It is set back: the client has more time.
    world.session.set_unix_time(world.now, world.now);
    world.pass(hours(2));
    assert_eq!(world.close_code(), None);
    // The machine was suspended.
    world.session.set_unix_time(world.now, world.now + hours(2));
    world.pass(Duration::ZERO);
    assert_eq!(world.close_code(), Some(3005));
}

#[test]
fn an_expired_subscription_ends_with_2501() {
    let mut world = World::connected(options());
    world.answers = vec![Answer::Subscribe(Subscribe {
        expires: Some(world.now + Duration::from_secs(2)),
        ..Subscribe::default()
    })];
    let reply = subscribe(&mut world, &json!({}));
    assert_eq!(reply["subscribe"]["ttl"], 2);
    world.take();
    world.pass(Duration::from_secs(28));
    let ended = json!({"channel": "chat:tea", "unsubscribe": {"code": 2501, "reason": "subscription expired"}});
    assert!(world.take().contains(&json!({"push": ended})));
    assert_eq!(world.session.channels().count(), 0);
    assert_eq!(world.hub.count("chat:tea"), 0);
}

#[test]
fn nothing_is_allowed_that_was_not_granted() {
    let mut world = World::connected(options());
    for (text, want) in [
        (r#"{"id":2,"subscribe":{"channel":"closed:a"}}"#, 103),
        (r#"{"id":2,"subscribe":{"channel":"unnamed"}}"#, 103),
        (r#"{"id":2,"subscribe":{"channel":"nowhere:a"}}"#, 102),
        (r#"{"id":2,"publish":{"channel":"closed:a","data":1}}"#, 103),
        (r#"{"id":2,"publish":{"channel":"chat:a","data":1}}"#, 103),
        (r#"{"id":2,"publish":{"channel":"chat:a"}}"#, 107),
        (r#"{"id":2,"history":{"channel":"chat:a","limit":1}}"#, 103),
        (r#"{"id":2,"history":{"channel":"plain:a","limit":1}}"#, 108),
        (r#"{"id":2,"presence":{"channel":"closed:a"}}"#, 103),
        (r#"{"id":2,"presence":{"channel":"plain:a"}}"#, 108),
        (r#"{"id":2,"presence_stats":{"channel":"nowhere:a"}}"#, 102),
        (r#"{"id":2,"sub_refresh":{"channel":"chat:a"}}"#, 107),
        (r#"{"id":2,"something":{}}"#, 104),
    ] {
        assert_eq!(code(&world.ask(text)), want, "{text}");
    }
    assert_eq!(world.hub.groups().count(), 0);
}

#[test]
fn a_channel_can_name_its_users() {
    let mut options = options();
    options.default.subscribe = true;
    let mut world = World::connected(options);
    for (channel, want) in [("dialog#ada,bob", 0), ("dialog#eve", 103), ("lobby", 0)] {
        let text = json!({"id": 2, "subscribe": {"channel": channel}}).to_string();
        assert_eq!(code(&world.ask(&text)), want, "{channel}");
    }
}

#[test]
fn a_client_subscribes_once_and_to_so_many_channels() {
    let mut world = World::connected(options());
    for (channel, want) in [
        ("plain:a", 0),
        ("plain:a", 105),
        ("plain:b", 0),
        ("plain:c", 0),
        ("plain:d", 106),
    ] {
        let text = json!({"id": 2, "subscribe": {"channel": channel}}).to_string();
        assert_eq!(code(&world.ask(&text)), want, "{channel}");
    }
    assert_eq!(
        world.ask(r#"{"id":3,"unsubscribe":{"channel":"plain:a"}}"#),
        json!({"id": 3, "unsubscribe": {}})
    );
    assert_eq!(
        world.ask(r#"{"id":3,"unsubscribe":{"channel":"plain:a"}}"#),
        json!({"id": 3, "unsubscribe": {}})
    );
    assert_eq!(
        code(&world.ask(r#"{"id":2,"subscribe":{"channel":"plain:d"}}"#)),
        0
    );
    let long = json!({"id": 2, "unsubscribe": {"channel": "plain:d"}}).to_string();
    world.ask(&long);
    let long = json!({"id": 2, "subscribe": {"channel": format!("plain:{}", "x".repeat(256))}});
    assert_eq!(code(&world.ask(&long.to_string())), 107);
}

#[test]
fn missed_publications_are_in_the_reply_with_the_requested_offset() {
    let mut world = World::connected(options());
    let fresh = subscribe(&mut world, &json!({}))["subscribe"].clone();
    assert_eq!(fresh["offset"], Value::Null, "0");
    let epoch = fresh["epoch"].as_str().unwrap().to_owned();
    for number in 1..=4 {
        world.publish("chat:tea", &number.to_string());
    }
    world.send(r#"{"id":3,"unsubscribe":{"channel":"chat:tea"}}"#);
    world.take();
    let recover = |offset: u64| json!({"recover": true, "epoch": epoch, "offset": offset});
    let reply = subscribe(&mut world, &recover(2))["subscribe"].clone();
    assert_eq!(
        (&reply["recovered"], &reply["was_recovering"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(reply["offset"], 2, "that of the request");
    let publications = json!([{"data": 3, "offset": 3}, {"data": 4, "offset": 4}]);
    assert_eq!(reply["publications"], publications);
    world.publish("chat:tea", "5");
    let live = world.take();
    assert_eq!(
        live.last().unwrap()["push"]["pub"],
        json!({"data": 5, "offset": 5})
    );
}

#[test]
fn failed_recovery_has_no_publications_and_the_current_offset() {
    let mut world = World::connected(options());
    let epoch = subscribe(&mut world, &json!({}))["subscribe"]["epoch"].clone();
    for number in 1..=9 {
        world.publish("chat:tea", &number.to_string());
    }
    for (epoch, offset) in [
        (&epoch, 2),
        (&epoch, 10),
        (&json!("beef"), 8),
        (&json!("no epoch"), 8),
    ] {
        world.send(r#"{"id":3,"unsubscribe":{"channel":"chat:tea"}}"#);
        world.take();
        let request = json!({"recover": true, "epoch": epoch, "offset": offset});
        let reply = subscribe(&mut world, &request)["subscribe"].clone();
        let shown = [
            &reply["recovered"],
            &reply["was_recovering"],
            &reply["offset"],
            &reply["publications"],
        ];
        assert_eq!(
            shown,
            [&Value::Null, &json!(true), &json!(9), &Value::Null],
            "{epoch} {offset}"
        );
    }
    world.send(r#"{"id":3,"unsubscribe":{"channel":"chat:tea"}}"#);
    let request = json!({"recover": true, "epoch": epoch, "offset": 2, "flag": 2});
    assert_eq!(code(&subscribe(&mut world, &request)), 112);
    assert_eq!(
        (
            world.hub.count("chat:tea"),
            world.session.channels().count()
        ),
        (0, 0)
    );
}

#[test]
fn a_position_without_an_epoch_is_one_of_the_current_epoch() {
    let mut world = World::connected(options());
    let request = json!({"recover": true, "flag": 2});
    let reply = subscribe(&mut world, &request)["subscribe"].clone();
    assert_eq!(reply["recovered"], true, "of a channel that is new");
    world.publish("chat:tea", "1");
    world.send(r#"{"id":3,"unsubscribe":{"channel":"chat:tea"}}"#);
    world.take();
    let reply = subscribe(&mut world, &request)["subscribe"].clone();
    assert_eq!(
        (&reply["recovered"], &reply["offset"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(reply["publications"], json!([{"data": 1, "offset": 1}]));
}

#[test]
fn server_side_subscriptions_are_in_the_reply_and_recover() {
    let mut options = options();
    options.personal_channels = true;
    options.default.recovery = true;
    options.default.history = Some(Default::default());
    let mut world = World::new(options);
    world.publish("chat:news", "1");
    world.publish("chat:news", "2");
    let position = world.hub.broker().position("chat:news").unwrap();
    world.answers = vec![Answer::Connect(Connect::user("ada").channel("chat:news"))];
    let known = json!({"recover": true, "epoch": format!("{:x}", position.epoch), "offset": 1});
    let connect = json!({"id": 1, "connect": {"subs": {"chat:news": known}}});
    world.send(&connect.to_string());
    let sent = world.take();
    let subs = &sent[0]["connect"]["subs"];
    assert_eq!(
        subs["chat:news"]["publications"],
        json!([{"data": 2, "offset": 2}])
    );
    assert_eq!(subs["#ada"]["recoverable"], true);
    world.publish("#ada", "3");
    assert_eq!(world.take()[0]["push"]["pub"]["data"], 3);
}

#[test]
fn a_loss_makes_the_client_subscribe_again_where_positions_matter() {
    let mut world = World::connected(options());
    subscribe(&mut world, &json!({}));
    world.ask(r#"{"id":2,"subscribe":{"channel":"plain:a"}}"#);
    for group in ["chat:tea", "plain:a", "plain:b"] {
        let signal = Signal::Gap {
            group: group.into(),
            count: None,
        };
        world.session.signal(world.now, &signal);
        world.settle();
    }
    let pushes = world.take();
    let ended: Vec<_> = pushes
        .iter()
        .filter(|one| !one["push"]["unsubscribe"].is_null())
        .collect();
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0]["push"]["unsubscribe"]["code"], 2500);
    assert_eq!(
        code(&subscribe(&mut world, &json!({}))),
        0,
        "it subscribes again"
    );
}

#[test]
fn other_parts_of_the_application_control_a_session() {
    let mut world = World::connected(options());
    subscribe(&mut world, &json!({}));
    let control = |world: &mut World, control: &Control| {
        let text = serde_json::to_string(control).unwrap();
        let target = Target::User("ada".into());
        let signal = Instruction::Signal(text.into());
        world.hub.instruct(world.now, target, signal).unwrap();
        world.settle();
        world.take()
    };
    let all = control(
        &mut world,
        &Control::Subscribe {
            channel: "plain:x".into(),
            info: None,
            data: Some("[1]".into()),
            expire_at: None,
        },
    );
    assert_eq!(all[0]["push"]["subscribe"], json!({"data": [1]}));
    let refresh = |seconds| Control::Refresh {
        expire_at: Some(seconds),
    };
    let all = control(&mut world, &refresh(1060));
    assert_eq!(
        all[0]["push"]["refresh"],
        json!({"expires": true, "ttl": 60})
    );
    let all = control(
        &mut world,
        &Control::Message {
            data: "{\"a\":1}".into(),
        },
    );
    assert_eq!(all[0]["push"]["message"]["data"], json!({"a": 1}));
    let unsubscribe = Control::Unsubscribe {
        channel: "chat:tea".into(),
        code: 2000,
        reason: "moved".into(),
    };
    let all = control(&mut world, &unsubscribe);
    assert_eq!(
        all.last().unwrap()["push"]["unsubscribe"],
        json!({"code": 2000, "reason": "moved"})
    );
    let disconnect = |except: &[String]| Control::Disconnect {
        code: 4500,
        reason: "banned".into(),
        except: except.into(),
    };
    let id = world.id.unwrap().to_string();
    control(&mut world, &disconnect(&[id]));
    assert_eq!(world.close_code(), None);
    control(&mut world, &disconnect(&[]));
    assert_eq!(world.close_code(), Some(4500));
    let mut world = World::connected(options());
    control(&mut world, &refresh(999));
    assert_eq!(world.close_code(), Some(3005));
}

#[test]
fn the_server_subscribes_a_client_to_so_many_channels() {
    let mut world = World::connected(options());
    for number in 0..4 {
        let control = Control::Subscribe {
            channel: format!("plain:{number}"),
            info: None,
            data: None,
            expire_at: None,
        };
        let text = serde_json::to_string(&control).unwrap();
        let signal = Instruction::Signal(text.into());
        let target = Target::User("ada".into());
        world.hub.instruct(world.now, target, signal).unwrap();
        world.settle();
    }
    assert_eq!(world.close_code(), Some(3505));
    let mut world = World::new(options());
    let channels = (0..4).map(|number| format!("plain:{number}")).collect();
    world.answers.push(Answer::Connect(Connect {
        channels,
        ..Connect::default()
    }));
    world.send(r#"{"id":1,"connect":{}}"#);
    assert_eq!(world.close_code(), Some(3505));
}

#[test]
fn commands_beyond_the_rate_fail_and_messages_beyond_it_end_the_connection() {
    let mut options = options();
    options.commands = Some(Rate::per_second(3));
    let mut world = World::connected(options);
    for _ in 0..2 {
        assert_eq!(world.ask(r#"{"id":2,"ping":{}}"#)["ping"], json!({}));
    }
    let refused = world.ask(r#"{"id":3,"ping":{}}"#);
    assert_eq!(code(&refused), 111);
    assert_eq!(refused["error"]["temporary"], true);
    for _ in 0..9 {
        world.send("{}");
    }
    assert_eq!(world.close_code(), None, "answers to pings do not count");
    world.pass(Duration::from_secs(1));
    world.take();
    assert_eq!(world.ask(r#"{"id":4,"ping":{}}"#)["ping"], json!({}));
    for _ in 0..3 {
        world.send(r#"{"send":{"data":1}}"#);
    }
    assert_eq!(world.close_code(), Some(3013));
}

#[test]
fn commands_wait_for_the_one_that_is_worked_on() {
    let mut world = World::connected(options());
    world.is_slow = true;
    world.send("{\"id\":2,\"rpc\":{\"method\":\"slow\",\"data\":1}}\n{\"id\":3,\"ping\":{}}");
    assert!(world.take().is_empty());
    assert!(matches!(world.questions.last(), Some(Question::Rpc(_))));
    world
        .session
        .answer(world.now, Answer::Data(b"{\"a\":2}".to_vec()));
    world.settle();
    let replies = world.take();
    assert_eq!(
        replies,
        [
            json!({"id": 2, "rpc": {"data": {"a": 2}}}),
            json!({"id": 3, "ping": {}})
        ]
    );
    // No client fills the memory with waiting commands.
    world.send(r#"{"id":4,"rpc":{"method":"slow"}}"#);
    let many: String = (5..2000)
        .map(|id| format!("{{\"id\":{id},\"ping\":{{}}}}\n"))
        .collect();
    world.send(&many);
    assert_eq!(world.close_code(), Some(3501));
}

#[test]
fn a_handler_refuses_with_an_error_or_ends_the_connection() {
    let mut world = World::connected(options());
    world.answers = vec![Answer::Refused(
        ClientError::new(1000, "closed today").into(),
    )];
    let reply = world.ask(r#"{"id":2,"rpc":{"method":"a"}}"#);
    assert_eq!(
        reply["error"],
        json!({"code": 1000, "message": "closed today"})
    );
    world.answers = vec![Answer::Refused(Disconnect::new(4000, "moved").into())];
    world.send(r#"{"id":2,"rpc":{"method":"a"}}"#);
    assert_eq!(world.close_code(), Some(4000));
}

#[test]
fn nothing_is_allowed_by_default() {
    let mut world = World::new(Options::default());
    world.answers = vec![Answer::Connect(Connect::default())];
    world.send(r#"{"id":1,"connect":{}}"#);
    world.take();
    for text in [
        r#"{"id":2,"subscribe":{"channel":"a"}}"#,
        r#"{"id":2,"publish":{"channel":"a","data":1}}"#,
    ] {
        assert_eq!(code(&world.ask(text)), 103);
    }
}

#[test]
fn a_loss_in_a_servers_subscription_makes_the_client_connect_again() {
    let mut options = options();
    options.personal_channels = true;
    options.default.recovery = true;
    options.default.history = Some(Default::default());
    // The user's id has a colon, as that of another provider's account.
    let mut world = World::new(options);
    world.answers = vec![Answer::Connect(Connect::user("google:1"))];
    world.send(r#"{"id":1,"connect":{}}"#);
    let subs = world.take()[0]["connect"]["subs"].clone();
    assert_eq!(subs["#google:1"]["recoverable"], true, "{subs}");
    let signal = Signal::Gap {
        group: "#google:1".into(),
        count: None,
    };
    world.session.signal(world.now, &signal);
    world.settle();
    assert_eq!(world.close_code(), Some(3010));
}

#[test]
fn a_name_that_limits_its_users_limits_what_all_clients_may() {
    let mut options = options();
    options.default = options
        .default
        .read(Access::Clients)
        .publish(Access::Clients);
    options.default.presence = true;
    options.default.history = Some(Default::default());
    let mut world = World::connected(options);
    for (channel, want) in [
        ("#bob", 103),
        ("dialog#eve,bob", 103),
        ("#ada", 0),
        ("lobby", 0),
    ] {
        for text in [
            json!({"id": 2, "history": {"channel": channel, "limit": 1}}),
            json!({"id": 2, "presence": {"channel": channel}}),
            json!({"id": 2, "presence_stats": {"channel": channel}}),
            json!({"id": 2, "publish": {"channel": channel, "data": 1}}),
        ] {
            assert_eq!(code(&world.ask(&text.to_string())), want, "{text}");
        }
    }
}

#[test]
fn a_grant_that_the_hub_refuses_for_good_is_final() {
    let long = "x".repeat(10_000);
    for grant in [
        Connect::user("ada").channel("nowhere:a"),
        Connect::user("ada").channel("chat:\u{1}"),
        Connect::user(&long),
    ] {
        let mut world = World::new(options());
        world.answers = vec![Answer::Connect(grant)];
        world.send(r#"{"id":1,"connect":{}}"#);
        let code = world.close_code();
        assert_eq!(code, Some(3501), "clients would come back for ever");
    }
}

#[test]
fn a_client_that_is_sent_no_pings_is_told_so() {
    for (ping, told) in [(0, 0), (100, 1), (25_000, 25)] {
        let mut options = options();
        options.ping = Duration::from_millis(ping);
        let mut world = World::new(options);
        world.send(r#"{"id":1,"connect":{}}"#);
        let connected = world.take()[0]["connect"].clone();
        assert_eq!(connected["ping"].as_u64().unwrap_or(0), told);
        assert_eq!(connected["pong"].as_bool().unwrap_or(false), told > 0);
        world.pass(Duration::from_secs(60));
        assert_eq!(world.take().is_empty(), told == 0, "{ping} ms");
        assert_eq!(world.close_code(), None);
    }
}

#[test]
fn nothing_precedes_the_reply_to_connect() {
    let mut options = options();
    options.commands = Some(Rate::per_second(2));
    let mut world = World::new(options);
    world.is_slow = true;
    world.send(r#"{"id":1,"connect":{}}"#);
    for id in 2..5 {
        world.send(&json!({"id": id, "ping": {}}).to_string());
    }
    assert!(world.take().is_empty());
    assert_eq!(world.close_code(), Some(3013));
}

#[test]
fn clients_without_a_user_have_an_option_of_their_own() {
    for (user, anonymous) in [("ada", false), ("", false), ("", true)] {
        for access in [Access::Clients, Access::Subscribers] {
            let mut namespace = Namespace::default()
                .recovery(Default::default())
                .presence()
                .subscribe()
                .publish(access)
                .read(access);
            if anonymous {
                namespace = namespace
                    .anonymous_subscribe()
                    .anonymous_publish()
                    .anonymous_read();
            }
            let mut world = World::new(Options::default().namespace("chat", namespace));
            world.answers = vec![Answer::Connect(Connect::user(user))];
            let connected = world.ask(r#"{"id":1,"connect":{}}"#);
            assert!(connected["connect"].is_object(), "{connected}");
            let want = if user == "ada" || anonymous { 0 } else { 103 };
            let subscribe = r#"{"id":2,"subscribe":{"channel":"chat:a"}}"#;
            assert_eq!(code(&world.ask(subscribe)), want, "{user:?} {anonymous}");
            if want != 0 && access == Access::Subscribers {
                // A handler's grant makes a subscriber, who has no rights by that alone.
                world.answers = vec![Answer::Subscribe(Subscribe::default())];
                assert_eq!(code(&world.ask(subscribe)), 0);
            }
            for text in [
                r#"{"id":3,"history":{"channel":"chat:a","limit":1}}"#,
                r#"{"id":3,"presence":{"channel":"chat:a"}}"#,
                r#"{"id":3,"presence_stats":{"channel":"chat:a"}}"#,
                r#"{"id":3,"publish":{"channel":"chat:a","data":1}}"#,
            ] {
                world.send(text);
                let replies = world.take();
                let reply = replies.iter().find(|reply| reply["id"] == 3).unwrap();
                let at = format!("{text} of {user:?}, {access:?}, {anonymous}");
                assert_eq!(code(reply), want, "{at}");
            }
        }
    }
}

/// The application may publish anything; libraries parse what JSON carries.
#[test]
fn an_empty_publication_is_an_empty_string_in_json() {
    let mut options = options();
    let chat = options.namespaces.get_mut("chat").unwrap();
    chat.deltas = true;
    for delta in ["", "fossil"] {
        let mut world = World::connected(options.clone());
        let subscribe = json!({"id": 2, "subscribe": {"channel": "chat:a", "delta": delta}});
        world.ask(&subscribe.to_string());
        for text in [
            "",
            "{\"long\":\"enough to be the base of a difference\"}",
            "",
        ] {
            world.publish("chat:a", text);
            let pushes = world.take();
            let publication = &pushes[0]["push"]["pub"];
            assert!(publication["delta"].is_null(), "{publication}");
            let data = if delta.is_empty() {
                publication["data"].clone()
            } else {
                serde_json::from_str(publication["data"].as_str().unwrap()).unwrap()
            };
            let want = if text.is_empty() {
                json!("")
            } else {
                serde_json::from_str(text).unwrap()
            };
            assert_eq!(data, want, "{delta}: {publication}");
        }
        let history = json!({"id": 3, "history": {"channel": "chat:a", "limit": -1}});
        let history = world.ask(&history.to_string());
        assert_eq!(history["history"]["publications"][0]["data"], "");
    }
}

#[test]
fn a_history_since_no_epoch_is_of_the_epoch_that_there_is() {
    let mut world = World::connected(options());
    subscribe(&mut world, &json!({}));
    for text in ["1", "2", "3"] {
        world.publish("chat:tea", text);
    }
    world.take();
    for (offset, epoch, want) in [
        (1, "", Some(vec![2, 3])),
        (3, "", Some(vec![])),
        (1, "no epoch", None),
        (9, "", None),
    ] {
        let since = json!({"offset": offset, "epoch": epoch});
        let history = json!({"channel": "chat:tea", "limit": 10, "since": since});
        let reply = world.ask(&json!({"id": 6, "history": history}).to_string());
        let Some(want) = want else {
            assert_eq!(code(&reply), 112, "{since}: {reply}");
            continue;
        };
        let publications = reply["history"]["publications"].as_array();
        let data = publications.into_iter().flatten();
        let data: Vec<_> = data.map(|one| one["data"].clone()).collect();
        assert_eq!(json!(data), json!(want), "{since}: {reply}");
    }
}

#[test]
fn a_join_of_the_application_does_not_leave_a_subscription_without_a_reply() {
    for is_done in [true, false] {
        let mut world = World::connected(options());
        let (now, id) = (world.now, world.id.unwrap());
        let joined = world.hub.join(now, id, "plain:a", Default::default());
        // Its result has not arrived yet, or has.
        assert_eq!(joined, Ok(None));
        if is_done {
            world.settle();
        }
        world.send(r#"{"id":2,"subscribe":{"channel":"plain:a"}}"#);
        assert!(world.take().is_empty());
        // The client comes again instead of waiting for a reply.
        assert_eq!(world.close_code(), Some(3010), "{is_done}");
    }
}
