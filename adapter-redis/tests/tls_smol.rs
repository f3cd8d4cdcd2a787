//! TLS to Redis on smol.

#![cfg(feature = "smol-tls")]

mod server;
mod tls;

use std::future::Future;

use sansws_redis::Runtime;
use tls::On;

const ON: On = On {
    runtime: Runtime::Smol,
    spawn: |work| smol::spawn(work).detach(),
};

fn run(scenario: impl Future<Output = ()>) {
    smol::block_on(scenario);
}

#[test]
fn a_server_of_an_authority_of_ones_own_is_spoken_to() {
    run(tls::one_server(ON));
}

#[test]
fn a_server_that_asks_for_a_certificate_gets_one() {
    run(tls::one_server_that_asks_for_a_certificate(ON));
}

#[test]
fn the_nodes_of_a_cluster_are_spoken_to_by_tls() {
    run(tls::a_cluster(ON));
}

#[test]
fn sentinels_and_their_master_are_spoken_to_by_tls() {
    run(tls::a_master_that_sentinels_tell(ON));
}

#[test]
fn wrong_settings_fail_at_once() {
    run(async { tls::wrong_settings_fail_at_once(ON) });
}
