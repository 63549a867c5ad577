"""The web page and its HTTP API: `styletransfer serve`; needs the extra `ui`. It calls `Stylizer` only."""
