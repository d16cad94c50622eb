"""The hostile models, by what is hostile about them."""

from tests.ponies.models.belongings import (
    Brain,
    Bridle,
    Label,
    LooseNote,
    Passport,
    ProxyNote,
    Remark,
    SecretNote,
    SoftNote,
    Stall,
)
from tests.ponies.models.herd import Pony, Ribbon, Score, Show, ShowPony, Toy
from tests.ponies.models.inheritance import Animal, Horn, Keeper, RealKeeper, Shift, Unicorn, Vaccination
from tests.ponies.models.keys import Chip, Colour, Contact, Dye, Implant, Lap, Membership, Slot, Start
from tests.ponies.models.oddities import Computed, Numbered, Odd, OldNote, Scroll, Seal

__all__ = [
    "Animal",
    "Brain",
    "Bridle",
    "Chip",
    "Colour",
    "Computed",
    "Contact",
    "Dye",
    "Horn",
    "Implant",
    "Keeper",
    "Label",
    "Lap",
    "LooseNote",
    "Membership",
    "Numbered",
    "Odd",
    "OldNote",
    "Passport",
    "Pony",
    "ProxyNote",
    "RealKeeper",
    "Remark",
    "Ribbon",
    "Score",
    "Scroll",
    "Seal",
    "SecretNote",
    "Shift",
    "Show",
    "ShowPony",
    "Slot",
    "SoftNote",
    "Stall",
    "Start",
    "Toy",
    "Unicorn",
    "Vaccination",
]
