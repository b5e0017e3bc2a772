"""The device: link, command decoder, sample store and engine."""
