"""Logins: passwords, tries per minute, signed sessions."""

import pytest

from modules.web.http.login import MOST_FAILURES, SESSION_SECONDS, Attempts, Logins, Sessions, TooManyTries, basic_login


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_login_needs_its_own_password():
    logins = Logins({"ann": "secret", "bob": "hidden"})
    assert logins.holds("ann", "secret")
    assert not logins.holds("ann", "hidden")
    assert not logins.holds("carl", "")
    assert not logins.holds("", "")
    assert not logins.holds("ann", "\ud800")


def test_passwords_are_not_shown_in_a_repr():
    assert "secret" not in repr(Logins({"ann": "secret"}))


def test_wrong_passwords_are_limited_by_name_and_address():
    clock = Clock()
    attempts = Attempts(clock)
    for _ in range(MOST_FAILURES):
        attempts.check("ann", "there")
        attempts.failed("ann", "there")
    with pytest.raises(TooManyTries) as refused:
        attempts.check("ann", "there")
    assert 0 < refused.value.wait <= 60
    attempts.check("ann", "at home")
    attempts.check("bob", "there")
    clock.now += 61
    attempts.check("ann", "there")


def test_attempts_do_not_grow_without_end(monkeypatch):
    monkeypatch.setattr("modules.web.http.login.MOST_REMEMBERED", 5)
    attempts = Attempts(Clock())
    for number in range(20):
        attempts.failed(f"name {number}", "here")
    assert len(attempts._failures) == 5


class TestSessions:
    key = b"k" * 32

    def sessions(self, password: str = "secret", key: bytes | None = None, clock=None) -> Sessions:
        return Sessions({"ann": password}, key or self.key, clock or Clock())

    def test_a_session_survives_a_restart(self):
        assert self.sessions().name(self.sessions().begin("ann")) == "ann"

    def test_but_not_a_new_password(self):
        assert self.sessions("new").name(self.sessions().begin("ann")) is None

    def test_nor_another_installation(self):
        assert self.sessions(key=b"x" * 32).name(self.sessions().begin("ann")) is None

    def test_nor_its_end(self):
        clock = Clock()
        sessions = self.sessions(clock=clock)
        cookie = sessions.begin("ann")
        clock.now += SESSION_SECONDS + 1
        assert sessions.name(cookie) is None

    def test_logging_out_ends_one_session(self):
        sessions = self.sessions()
        first, second = sessions.begin("ann"), sessions.begin("ann")
        sessions.end(first)
        assert (sessions.name(first), sessions.name(second)) == (None, "ann")

    def test_every_changed_character_breaks_it(self):
        sessions = self.sessions()
        cookie = sessions.begin("ann")
        for place, letter in enumerate(cookie):
            forged = cookie[:place] + ("A" if letter != "A" else "B") + cookie[place + 1 :]
            assert sessions.name(forged) is None, place

    @pytest.mark.parametrize(
        "cookie", ["", ".", "...", "a.b.c.d", "YW5u.9999999999.x.", "é.1.2.3", "YW5u.1e9.x.y", "=" * 5000]
    )
    def test_nonsense_is_nobody(self, cookie):
        assert self.sessions().name(cookie) is None

    def test_names_with_any_letters(self):
        sessions = Sessions({"änn.ß": "secret"}, self.key, Clock())
        assert sessions.name(sessions.begin("änn.ß")) == "änn.ß"


@pytest.mark.parametrize(
    ("header", "login"),
    [
        ("Basic YW5uOnNlY3JldA==", ("ann", "secret")),
        ("basic YW5uOg==", ("ann", "")),
        ("Basic YW5u", None),
        ("Basic !!!", None),
        ("Basic /w==", None),
        ("Bearer YW5uOnNlY3JldA==", None),
        ("", None),
        ("Basic", None),
    ],
)
def test_basic_login(header, login):
    assert basic_login(header) == login
