//! Groups over real sockets, on both runtimes: threads with a node each, peers that do not read, publishers that wait.

mod on_tokio {
    use crate::runtimes::on_tokio as runtime;
    use sansws_tokio as ws;

    include!("scenarios/hub_body.rs");
}

mod on_smol {
    use crate::runtimes::on_smol as runtime;
    use sansws_smol as ws;

    include!("scenarios/hub_body.rs");
}

mod on_a_third {
    use crate::runtimes::on_a_third as runtime;
    use sansws_example_runtime as ws;

    include!("scenarios/hub_body.rs");
}
