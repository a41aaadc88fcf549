"""Create one policy for each reason of reports. Administrators change them in the admin."""

from django.db import migrations

# By reason: name, severity (1 low to 4 critical), default action, text for the author.
POLICIES = {
    "child_safety": ("Child safety", 4, "suspend", "Content that sexualizes or endangers children is forbidden here."),
    "self_harm": (
        *("Self-harm", 4, "hide"),
        "We do not show content that encourages self-harm or suicide. If you are in danger, please call your local "
        "emergency number or someone you trust.",
    ),
    "violence": ("Violence", 3, "hide", "Threats, and pictures that glorify violence, are not allowed here."),
    "hate": ("Hate", 3, "hide_and_warn", "Attacks on people for what they are or believe are not allowed here."),
    "harassment": ("Harassment", 3, "hide_and_warn", "Insulting, threatening or exposing others is not allowed here."),
    "nudity": ("Nudity", 2, "hide", "Nudity and sexual content are not allowed here."),
    "copyright": ("Copyright", 2, "hide", "Please post only what you made yourself or have permission to share."),
    "misinformation": ("Misinformation", 2, "hide", "False claims that may harm people are not allowed here."),
    "spam": ("Spam", 1, "hide", "Advertising, scams and repeated posts are not allowed here."),
    "other": ("Other rules", 1, "", "This is against the rules of this site."),
}


def create_policies(apps, schema_editor):
    policies = apps.get_model("accounts", "Policy").objects.using(schema_editor.connection.alias)
    for reason, (name, severity, default_action, text) in POLICIES.items():
        policies.get_or_create(
            name=name,
            defaults={"reason": reason, "severity": severity, "default_action": default_action, "text": text},
        )


class Migration(migrations.Migration):

    dependencies = [("backoffice", "0002_staff_groups")]

    operations = [
        # Reversing keeps the policies: administrators may have changed them.
        migrations.RunPython(create_policies, migrations.RunPython.noop, elidable=False),
    ]
