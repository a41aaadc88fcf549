from io import BytesIO

from media import storage


def test_a_round(tmp_path, settings):
    settings.MEDIA_ROOT = tmp_path
    key = storage.new_key()
    p = f"public/{key}/1080.webp"
    storage.save(p, BytesIO(b"x"), "image/webp")
    with storage.open(p) as f:
        assert f.read() == b"x"
    storage.copy(p, f"private/{key}/1080.webp")
    assert storage.size(p) == 1
    storage.delete([p, p])
    assert storage.size(p) is None
    card = storage.encode({"url": storage.reference(f"private/{key}/1080.webp"), "c": f"\x01private/{key}/1080.webp"})
    print(card, storage.fill_in(card))
    print(storage.url(p), storage.direct_upload(f"incoming/{key}", "image/png", 5))
