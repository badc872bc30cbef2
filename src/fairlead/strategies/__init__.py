"""The strategies that ship: small, tested against closed forms, and written only with `fairlead.sdk`."""
