from tests.browser.staff import Staff
def test_signs_in(page, staff: dict[str, Staff], shoot) -> None:
    staff["superuser"].sign_in(page)
    assert page.get_by_role("link", name="Users").count() >= 1
    shoot("x")
