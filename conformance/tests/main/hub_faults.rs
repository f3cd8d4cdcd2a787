//! Groups as careless applications use them, on both runtimes: bursts, callbacks that fail, dropped futures, presence that changes.

mod on_tokio {
    use crate::runtimes::on_tokio as runtime;
    use sansws_tokio as ws;

    include!("scenarios/hub_faults_body.rs");
}

mod on_smol {
    use crate::runtimes::on_smol as runtime;
    use sansws_smol as ws;

    include!("scenarios/hub_faults_body.rs");
}
