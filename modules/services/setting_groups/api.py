"""Settings of the field's API that are closed here: clients may read them, nobody can change them.

Fetching pictures from addresses would make this server ask things of other machines in strangers' name.
"""

from modules.core.extension_points import hookimpl
from modules.core.settings import Setting

SECTION = "API"


@hookimpl
def register_settings() -> list[Setting]:
    """Each has one value."""
    return [
        Setting(
            name="api_enable_requests",
            default=False,
            options=(False,),
            label="Allow http:// and https:// URLs for input images in API",
            section=SECTION,
            help="Not available: send pictures as base64, or upload them to /api/v1/inputs.",
        ),
        Setting(
            name="api_forbid_local_requests",
            default=True,
            options=(True,),
            label="Forbid URLs to local resources",
            section=SECTION,
            help="No address is fetched at all.",
        ),
        Setting(
            name="api_useragent",
            default="",
            options=("",),
            label="User agent for requests",
            section=SECTION,
            help="No address is fetched at all.",
        ),
    ]
