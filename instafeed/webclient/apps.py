from django.apps import AppConfig


class WebClientConfig(AppConfig):
    name = "instafeed.webclient"
    label = "webclient"
