"""Operators tell where containers may run."""

from tests.integration.web.conftest import Api

HOST = {"name": "big", "url": "tcp://10.0.0.7:2376", "slots": 40, "labels": {"disk": "ssd"}}


def test_host_is_added_drained_and_removed(api: Api) -> None:
    caller = api.caller("operator")
    added = caller.post("/api/v1/hosts", json=HOST)
    assert (added.status_code, added.json()["slots"], added.json()["taken"]) == (201, 40, 0)
    assert caller.post("/api/v1/hosts", json=HOST).status_code == 409
    assert [each["name"] for each in caller.get("/api/v1/hosts").json()] == ["big", "local"]
    drained = caller.post("/api/v1/hosts/big/drain", json={"on": True}).json()
    assert drained["draining"] is True
    assert caller.delete("/api/v1/hosts/big").status_code == 204
    assert caller.delete("/api/v1/hosts/big").status_code == 404
    assert caller.post("/api/v1/hosts/big/drain", json={}).status_code == 404


def test_host_that_cannot_be_one_is_refused(api: Api) -> None:
    caller = api.caller("operator")
    for more in ({"url": "http://x"}, {"name": "a/b"}, {"slots": -1}, {"privileged": True}):
        assert caller.post("/api/v1/hosts", json=HOST | more).status_code == 422, more


def test_hosts_are_not_for_submitters(api: Api) -> None:
    caller = api.caller("submitter")
    assert caller.get("/api/v1/hosts").status_code == 403
    assert caller.post("/api/v1/hosts", json=HOST).status_code == 403


def test_job_without_container_has_no_log_and_no_output(api: Api) -> None:
    from tests.support import factories as make

    caller = api.caller("operator")
    job_id = make.planned_job(api.context, owner="ann")
    told = caller.get(f"/api/v1/jobs/{job_id}/logs").json()
    assert told == {"items": [], "next_since": "", "complete": False}
    assert caller.get(f"/api/v1/jobs/{job_id}/output").status_code == 404
