"""What is measured: one folder a scenario, the same for every stage.

``scenarios/<id>/__init__.py`` says what the scenario is (``SCENARIO``): its shape, its seed data and what must hold
after it. ``scenarios/<id>/locustfile.py`` is the load itself, an ordinary Locust file.
"""
