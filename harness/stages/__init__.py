"""The stages tool: what each stage says about itself, whether that is true, and how a fix travels forward."""
