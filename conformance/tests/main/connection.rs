//! One connection over real sockets, on both runtimes: peers that leave while we write, that say something while we only send,
//! that read slowly, and addresses that do not answer.

use crate::support::certs::Certs;

mod on_tokio {
    use super::*;
    use crate::runtimes::on_tokio as runtime;
    use sansws_tokio as ws;

    include!("scenarios/connection_body.rs");
}

mod on_smol {
    use super::*;
    use crate::runtimes::on_smol as runtime;
    use sansws_smol as ws;

    include!("scenarios/connection_body.rs");
}

mod on_a_third {
    use super::*;
    use crate::runtimes::on_a_third as runtime;
    use sansws_example_runtime as ws;

    include!("scenarios/connection_body.rs");
}
