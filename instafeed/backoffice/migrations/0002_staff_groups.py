"""Create the staff groups with the permissions that they need.

This app has the migration because the permissions belong to all other apps.
"""

from django.apps import apps as installed
from django.contrib.auth.management import create_permissions
from django.db import migrations

# Permissions as "app.codename". Only a superuser can create staff.
MODERATOR = (
    "accounts.view_user",
    "accounts.suspend_user",
    "accounts.view_pendingaccount",
    "accounts.change_pendingaccount",
    "accounts.view_auditentry",
    "accounts.view_policy",
    "media.view_media",
    "posts.view_post",
    "posts.moderate_post",
    "posts.view_comment",
    "posts.view_report",
    "posts.view_case",
)
GROUPS = {
    "Moderator": MODERATOR,
    "Senior moderator": (*MODERATOR, "posts.decide_escalated_case"),
    "Operator": (
        "accounts.view_user",
        "accounts.pin_celebrity",
        "accounts.view_invite",
        "accounts.add_invite",
        "accounts.change_invite",
        "accounts.view_blockedemaildomain",
        "accounts.add_blockedemaildomain",
        "accounts.delete_blockedemaildomain",
        "accounts.view_blockednetwork",
        "accounts.add_blockednetwork",
        "accounts.delete_blockednetwork",
        "accounts.view_auditentry",
        "accounts.view_outgoingmail",
        "backoffice.run_operatorjob",
        "backoffice.view_operatorjob",
        "backoffice.view_sample",
        "feeds.view_fanout",
        "feeds.resume_fanout",
        "media.view_media",
        "media.reprocess_media",
    ),
}


def create_groups(apps, schema_editor):
    alias = schema_editor.connection.alias
    # Django itself creates permissions only after the last migration.
    for label in {permission.split(".")[0] for permissions in GROUPS.values() for permission in permissions}:
        create_permissions(installed.get_app_config(label), verbosity=0, using=alias)
    permissions = apps.get_model("auth", "Permission").objects.using(alias)
    for name, group_permissions in GROUPS.items():
        group, _ = apps.get_model("auth", "Group").objects.using(alias).get_or_create(name=name)
        for permission in group_permissions:
            label, codename = permission.split(".")
            group.permissions.add(permissions.get(content_type__app_label=label, codename=codename))


class Migration(migrations.Migration):

    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("accounts", "0001_initial"),
        ("social", "0001_initial"),
        ("media", "0001_initial"),
        ("posts", "0001_initial"),
        ("feeds", "0001_initial"),
        ("backoffice", "0001_initial"),
    ]

    operations = [
        # Reversing keeps the groups: operators may have changed them.
        migrations.RunPython(create_groups, migrations.RunPython.noop, elidable=False),
    ]
