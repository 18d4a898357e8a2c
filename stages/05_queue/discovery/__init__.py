"""How processes find each other: instances register, whoever asks them balances. Used by gateway, concert and order."""
