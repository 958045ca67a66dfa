"""Credentials at rest."""

import pytest
from cryptography.fernet import Fernet

from worker.vault import Vault, VaultError, new_key

SECRET = "veľmi-tajné-heslo"


def test_what_was_sealed_is_opened_and_is_not_readable_meanwhile():
    vault = Vault([new_key()])

    sealed = vault.seal(SECRET)

    assert vault.open(sealed) == SECRET
    assert SECRET.encode() not in sealed


def test_the_newest_key_seals_and_the_older_ones_still_open():
    old, new = new_key(), new_key()
    sealed_before = Vault([old]).seal(SECRET)
    both = Vault([new, old])

    assert both.open(sealed_before) == SECRET
    assert Vault([new]).open(both.seal(SECRET)) == SECRET


def test_after_resealing_the_old_key_may_go():
    old, new = new_key(), new_key()
    sealed = Vault([new, old]).reseal(Vault([old]).seal(SECRET))

    assert Vault([new]).open(sealed) == SECRET
    with pytest.raises(VaultError):
        Vault([old]).open(sealed)


def test_a_credential_whose_key_is_gone_is_said_so():
    sealed = Vault([new_key()]).seal(SECRET)

    with pytest.raises(VaultError, match="a key that this process does not have"):
        Vault([new_key()]).open(sealed)


def test_a_sealed_credential_that_was_tampered_with_is_not_opened():
    vault = Vault([new_key()])
    sealed = bytearray(vault.seal(SECRET))
    sealed[20] ^= 1

    with pytest.raises(VaultError):
        vault.open(bytes(sealed))


@pytest.mark.parametrize("key", ["", "short", Fernet.generate_key().decode()[:-2], "ž" * 44])
def test_a_malformed_key_is_refused_without_repeating_it(key):
    with pytest.raises(VaultError, match="malformed; make one with `kadencia keys new`") as raised:
        Vault([key])

    assert not key or key not in str(raised.value)


def test_without_a_key_nothing_is_sealed_or_opened():
    for act in (lambda: Vault([]).seal(SECRET), lambda: Vault([]).open(b"x")):
        with pytest.raises(VaultError, match="KADENCIA_KEYS_FILE"):
            act()


def test_a_vault_shows_how_many_keys_it_has_and_none_of_them():
    key = new_key()

    assert repr(Vault([key])) == "Vault(1 keys)"
