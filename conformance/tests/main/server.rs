//! Servers over real sockets, on both runtimes: several listeners, certificates replaced, the PROXY protocol, a shared port,
//! draining, and handlers that misbehave. And that the test kit says what a real socket says.

use crate::support::certs::{Certs, Folder};

mod on_tokio {
    use super::*;
    use crate::runtimes::on_tokio as runtime;
    use sansws_tokio as ws;

    include!("scenarios/server_body.rs");
}

mod on_smol {
    use super::*;
    use crate::runtimes::on_smol as runtime;
    use sansws_smol as ws;

    include!("scenarios/server_body.rs");
}

mod on_a_third {
    use super::*;
    use crate::runtimes::on_a_third as runtime;
    use sansws_example_runtime as ws;

    include!("scenarios/server_body.rs");
}
