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
        "core.view_sample",
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
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("core", "0001_initial"),
        ("accounts", "0001_initial"),
        ("social", "0001_initial"),
        ("media", "0001_initial"),
        ("posts", "0001_initial"),
        ("feeds", "0001_initial"),
    ]

    operations = [
        # What staff holds stays, whatever was made of the groups meanwhile.
        migrations.RunPython(make_groups, migrations.RunPython.noop, elidable=False),
    ]
