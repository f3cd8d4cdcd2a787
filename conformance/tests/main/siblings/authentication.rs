//! Authentication: each server finds the credentials in the same places, and refuses with the same challenges.

use std::io::Write;

use super::on_each;
use super::servers::{Peer, Running, Setup};

/// `open: sesame` of `ada`: the name ends at the first colon.
const ADA: &str = "Authorization: Basic YWRhOm9wZW46IHNlc2FtZQ==\r\n";

/// Requests: a path, a field, and the status and the body of the answer.
const REQUESTS: [(&str, &str, u16, &str); 20] = [
    ("/bearer", "Authorization: Bearer s3cret\r\n", 200, "token"),
    ("/bearer", "Authorization: bearer  s3cret\r\n", 200, "token"),
    ("/bearer", "Authorization: Bearer wrong\r\n", 401, ""),
    ("/bearer", "Authorization: Bearer \r\n", 401, ""),
    ("/bearer", ADA, 401, ""),
    ("/bearer", "", 401, ""),
    ("/bearer?token=s3cret", "", 200, "token"),
    ("/bearer?token=wrong", "", 401, ""),
    ("/basic", ADA, 200, "ada"),
    ("/basic", "Authorization: Basic !!!\r\n", 401, ""),
    ("/basic", "Authorization: Basic YWRh\r\n", 401, ""),
    ("/basic", "", 401, ""),
    ("/cookie", "Cookie: a=b; session=s3cret\r\n", 200, "token"),
    ("/cookie", "Cookie: session=wrong\r\n", 403, ""),
    ("/cookie", "", 403, ""),
    ("/maybe", "", 200, "nobody"),
    ("/maybe", "Authorization: Bearer wrong\r\n", 401, ""),
    ("/maybe", "Authorization: Bearer \r\n", 401, ""),
    ("/maybe", "Cookie: session=s3cret\r\n", 200, "token"),
    ("/maybe", "Cookie: session=\r\n", 401, ""),
];

#[test]
fn each_server_finds_the_same_users_and_gives_the_same_answers() {
    let heard = on_each(|adapter| {
        let server = Running::start(adapter, &Setup::default());
        let answers = REQUESTS.map(|(path, field, status, body)| {
            let mut peer = Peer::connect(server.address, None);
            let request =
                format!("GET {path} HTTP/1.1\r\nHost: a\r\n{field}Connection: close\r\n\r\n");
            peer.write_all(request.as_bytes()).unwrap();
            let (bytes, _) = peer.rest();
            let answer = String::from_utf8(bytes).unwrap();
            let told = answer.split(' ').nth(1).unwrap_or_default();
            assert_eq!(told, status.to_string(), "{adapter:?} {path} {field}");
            assert!(answer.ends_with(body), "{adapter:?} {path} {field}");
            let challenged = answer.to_ascii_lowercase().contains("www-authenticate");
            assert_eq!(challenged, status == 401, "{adapter:?} {path} {field}");
            answer
        });
        answers.to_vec()
    });
    for (adapter, answers) in &heard {
        assert_eq!(answers, &heard[0].1, "{adapter:?}");
    }
}
