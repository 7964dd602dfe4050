"""Settings: closed, typed, and the names that follow from them."""

import pytest

from overflight.errors import UsageError
from overflight.settings import Settings, load_settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("platform", "gcp", id="platform"),
        pytest.param("region", "Frankfurt", id="region"),
        pytest.param("account_id", "12", id="account"),
        pytest.param("role", "Data Scientist", id="role"),
        pytest.param("max_payload_bytes", 1, id="payload"),
    ],
)
def test_a_value_that_is_not_allowed_names_its_variable(name, value):
    with pytest.raises(UsageError, match=f"OVERFLIGHT_{name.upper()}"):
        load_settings(**{name: value})


def test_the_environment_is_read_and_arguments_win(monkeypatch):
    monkeypatch.setenv("OVERFLIGHT_REGION", "us-east-1")
    assert load_settings().region == "us-east-1"
    assert load_settings(region="eu-west-1").region == "eu-west-1"
    assert load_settings(region=None).region == "us-east-1"


def test_names_follow_from_account_and_region():
    settings = Settings(account_id="123456789012", region="us-east-1")
    assert settings.bucket == "overflight-123456789012-us-east-1"
    assert settings.role_arn("pipeline") == "arn:aws:iam::123456789012:role/overflight-pipeline"


def test_a_user_without_a_name_still_has_one(monkeypatch):
    def nameless():
        raise KeyError("getpwuid(): uid not found: 1000")

    monkeypatch.delenv("OVERFLIGHT_USER", raising=False)
    monkeypatch.setattr("getpass.getuser", nameless)
    assert load_settings().user.startswith("uid-")


@pytest.mark.parametrize(
    ("login", "user"),
    [
        pytest.param("ada", "ada", id="as it is"),
        pytest.param("CORP\\ada b", "CORP-ada-b", id="domain and space"),
        pytest.param("a/b", "a-b", id="slash"),
        pytest.param("jos\u00e9", "jos-", id="letters beyond ASCII"),
        pytest.param("a" * 70, "a" * 64, id="long"),
    ],
)
def test_a_login_name_is_made_to_fit_a_sessions_name(monkeypatch, login, user):
    monkeypatch.delenv("OVERFLIGHT_USER", raising=False)
    monkeypatch.setattr("getpass.getuser", lambda: login)
    assert load_settings().user == user


@pytest.mark.parametrize("user", ["ada/eve", "a", "", "a" * 65, "ada eve", "ada\n", "jos\u00e9"])
def test_a_user_who_is_no_sessions_name_is_refused(user):
    with pytest.raises(UsageError, match="2 to 64 letters, digits") as caught:
        load_settings(user=user)
    assert "OVERFLIGHT_USER" in str(caught.value)
