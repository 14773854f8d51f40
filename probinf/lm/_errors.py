"""Errors of the language-model folder, each one clear sentence long."""


class ModelFileError(ValueError):
    """A model file is missing, truncated, of another kind, or of an architecture that is not supported."""


class ModelDownloadError(RuntimeError):
    """A model could not be downloaded; the message says why and what to do."""


class NoChatTemplateError(ValueError):
    """A model that brings no chat template is asked for a prompt in chat format."""
