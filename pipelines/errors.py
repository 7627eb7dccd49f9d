"""Errors that a user can mend: the command line prints their text alone and exits with `status`."""


class GristmillError(Exception):
    """Something went wrong that one sentence explains."""

    status = 1


class ConfigError(GristmillError):
    """The config, the arguments or an asset are wrong."""

    status = 2
