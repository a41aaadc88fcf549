"""The groups of staff, with the rights they need and no others. Here, because this app stands above all."""

from django.apps import apps as installed
from django.contrib.auth.management import create_permissions
from django.db import migrations

# What moderators and operators may, as "app.codename". Nobody but a superuser makes staff.
GROUPS = {
    "Moderator": (
        "accounts.view_user",
        "accounts.suspend_user",
        "accounts.view_auditentry",
        "media.view_media",
        "posts.view_post",
        "posts.moderate_post",
        "posts.view_comment",
        "posts.view_report",
        "posts.view_case",
    ),
    "Operator": (
        "accounts.view_user",
        "accounts.pin_celebrity",
        "accounts.view_auditentry",
        "feeds.view_fanout",
        "feeds.resume_fanout",
        "instafeed.view_sample",
        "media.view_media",
        "media.reprocess_media",
    ),
}


def make_groups(apps, schema_editor):
    alias = schema_editor.connection.alias
    # Django makes permissions after the last migration only.
    for label in {right.split(".")[0] for rights in GROUPS.values() for right in rights}:
        create_permissions(installed.get_app_config(label), verbosity=0, using=alias)
    permissions = apps.get_model("auth", "Permission").objects.using(alias)
    for name, rights in GROUPS.items():
        group, _ = apps.get_model("auth", "Group").objects.using(alias).get_or_create(name=name)
        for right in rights:
            label, codename = right.split(".")
            group.permissions.add(permissions.get(content_type__app_label=label, codename=codename))


class Migration(migrations.Migration):

    dependencies = [
        ("feeds", "0001_initial"),
        ("accounts", "0006_moderation"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("instafeed", "0004_samples"),
        ("media", "0003_admin"),
        ("posts", "0004_moderation"),
        ("social", "0004_warning"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="fanout",
            options={"permissions": [("resume_fanout", "Can hand out fan-outs again")], "verbose_name": "fan-out"},
        ),
        # What staff holds stays, whatever was made of the groups meanwhile.
        migrations.RunPython(make_groups, migrations.RunPython.noop, elidable=False),
    ]
