//! Beside Starlette and FastAPI.

use serde_json::json;

use super::{refused, run, serve, value};
use crate::sansws::{
    Auth, ConnectOptions, Credential, Response, Result, Route, Router, Upgrade, connect, test_kit,
};

async fn echo(upgrade: Upgrade) -> Result {
    let mut socket = upgrade.accept().await?;
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}

#[test]
fn parameters_names_and_states() {
    run(async {
        // ours: parameters
        struct Motto(&'static str);

        async fn room(upgrade: Upgrade) -> Result {
            let (room, n): (String, i64) = (upgrade.param("room")?, upgrade.param("n")?);
            let motto = upgrade.state::<Motto>()?;
            let mut socket = upgrade.accept().await?;
            Ok(socket.send_json(&json!([room, n, motto.0])).await?)
        }

        let room = Route::new("/ws/{room}/{n:int}", room).named("room");
        let api = Router::with_prefix("/api").add(room);
        let app = Router::new().merge(api).state(Motto("festina lente"));
        let app = app.build()?; // routes that clash are an error here
        let path = app.url_for("room", &[("room", &"lobby"), ("n", &3)])?; // /api/ws/lobby/3
        // end
        assert_eq!(path, "/api/ws/lobby/3");
        let url = serve(app).await?;
        let mut client = connect(&format!("{url}{path}"), ConnectOptions::default()).await?;
        let want = json!(["lobby", 3, "festina lente"]);
        assert_eq!(value(&mut client).await, want);
        let wrong = refused(&format!("{url}/api/ws/lobby/x"), ConnectOptions::default()).await;
        assert_eq!(wrong, 404);
        Ok(())
    });
}

#[test]
fn refusals() {
    // ours: refuse
    async fn closed(upgrade: Upgrade) -> Result {
        Ok(upgrade.reject(Response::text(401, "no\n")).await?)
    }
    // end
    run(async {
        let url = serve(Router::new().route("/ws", closed)).await? + "/ws";
        assert_eq!(refused(&url, ConnectOptions::default()).await, 401);
        Ok(())
    });
}

#[test]
fn authentication() {
    // ours: auth
    struct User(String);

    async fn verify(credential: Credential) -> Option<User> {
        (credential.secret == "s3cret").then(|| User("ada".into()))
    }

    async fn items(upgrade: Upgrade) -> Result {
        let user = upgrade.state::<User>()?;
        let item: String = upgrade.param("item_id")?;
        let mut socket = upgrade.accept().await?;
        Ok(socket.send_json(&json!([user.0, item])).await?)
    }

    let items = Route::new("/items/{item_id}/ws", items)
        .layer(Auth::cookie("session", verify).or_query("token"));
    // end
    run(async {
        let url = serve(Router::new().add(items)).await? + "/items/7/ws";
        let cookie = || ConnectOptions::default().header("Cookie", "session=s3cret");
        for (url, dial) in [
            (url.clone(), cookie()),
            (format!("{url}?token=s3cret"), ConnectOptions::default()),
        ] {
            let mut client = connect(&url, dial).await?;
            assert_eq!(value(&mut client).await, json!(["ada", "7"]));
        }
        assert_eq!(refused(&url, ConnectOptions::default()).await, 401);
        let wrong = format!("{url}?token=guess");
        assert_eq!(refused(&wrong, ConnectOptions::default()).await, 401);
        Ok(())
    });
}

#[test]
fn tests_without_a_socket() {
    run(async {
        // ours: test
        let server = test_kit::server(Router::new().route("/ws", echo))?;
        let mut socket = server.connect("/ws").await?;
        socket.send_text("hi").await?;
        socket.expect_text("hi").await;
        server.expect_reject("/elsewhere", 404).await;
        // end
        Ok(())
    });
}
