//! The alerts of the guide on monitoring, each over series that must raise it and series that must not.
//! `adapter-redis/tests/setup.sh` installs Prometheus, whose `promtool` evaluates them.

use std::path::Path;
use std::process::Command;

#[test]
fn each_alert_is_raised_by_what_it_is_for() {
    let guide = include_str!("../../../docs/monitoring.md");
    let (_, rest) = guide.split_once("```yaml\ngroups:\n").unwrap();
    let (rules, _) = rest.split_once("```").unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(folder.join("alerts.yml"), format!("groups:\n{rules}")).unwrap();
    let file = folder.join("alerts.test.yml");
    std::fs::write(&file, CASES).unwrap();
    for name in rules.lines().filter_map(|line| line.split_once("alert: ")) {
        assert!(CASES.contains(name.1), "{} has a case", name.1);
    }
    let output = Command::new("promtool")
        .args(["test", "rules"])
        .arg(file)
        .output()
        .expect("it is there: run adapter-redis/tests/setup.sh");
    let said = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&said)
    );
}

const CASES: &str = r#"
rule_files: [alerts.yml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - { series: 'sansws_hub_backplane_up{instance="bad"}', values: '0x60' }
      - { series: 'sansws_hub_backplane_up{instance="good"}', values: '1x60' }
      - { series: 'sansws_hub_dropped_newest_total{instance="bad"}', values: '0+30x60' }
      - { series: 'sansws_hub_dropped_oldest_total{instance="bad"}', values: '0+30x60' }
      - { series: 'sansws_hub_dropped_aged_total{instance="bad"}', values: '0+30x60' }
      - { series: 'sansws_hub_closed_slow_total{instance="bad"}', values: '0+12x60' }
      - { series: 'sansws_server_handlers_failed_total{instance="bad"}', values: '0+1x60' }
      - { series: 'sansws_server_connections{instance="bad"}', values: '95x60' }
      - { series: 'sansws_server_connections_max{instance="bad"}', values: '100x60' }
      - { series: 'sansws_server_websockets_closed_total{instance="bad",code="1006",by="peer"}', values: '0+30x60' }
      - { series: 'sansws_server_websockets_closed_total{instance="bad",code="1006",by="server"}', values: '0+30x60' }
      - { series: 'sansws_server_websockets_closed_total{instance="bad",code="1000",by="peer"}', values: '0+40x60' }
      - { series: 'sansws_server_websockets_closed_total{instance="good",code="1006",by="peer"}', values: '0+30x60' }
      - { series: 'sansws_server_websockets_closed_total{instance="good",code="1000",by="peer"}', values: '0+40x60' }
    alert_rule_test:
      - { eval_time: 30m, alertname: BackplaneDown, exp_alerts: [{ exp_labels: { instance: bad }, exp_annotations: { summary: 'bad cannot reach the other nodes' } }] }
      - { eval_time: 30m, alertname: MessagesDropped, exp_alerts: [{ exp_labels: { instance: bad } }] }
      - { eval_time: 30m, alertname: SlowConsumers, exp_alerts: [{ exp_labels: { instance: bad } }] }
      - { eval_time: 30m, alertname: HandlersFail, exp_alerts: [{ exp_labels: { instance: bad } }] }
      - { eval_time: 30m, alertname: ConnectionsVanish, exp_alerts: [{ exp_labels: { instance: bad } }] }
      - { eval_time: 30m, alertname: NearlyFull, exp_alerts: [{ exp_labels: { instance: bad } }] }
"#;
