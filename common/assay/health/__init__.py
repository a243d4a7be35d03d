"""Health over HTTP, as SPIRE's daemons have it: checks that go on by themselves, and two paths that tell of them."""
