"""`ordertide list`."""

from click.testing import CliRunner

from commands.list_plugins import command


def test_the_list_names_carriers_tiers_channels_rules_and_statuses() -> None:
    result = CliRunner().invoke(command, [])
    assert result.exit_code == 0, result.output
    for line in (
        "hot                  storage_tiering.hot.opening:open_hot of ordertide",
        "log                  sinks.actions.channels.log:open_channel of ordertide",
        "alertmanager         sinks.channels.alertmanager:open_channel of ordertide",
        "late_delivery",
        "Late delivery / 配送延误",
        "DELIVERED",
    ):
        assert line in result.output
    assert "warning → overdue" in result.output
