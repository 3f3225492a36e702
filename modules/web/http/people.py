"""What a route needs to know of who asks."""

from typing import Annotated

from fastapi import Depends, Request

from modules.web.http.door import Door


def owner_of(request: Request) -> str:
    """Whose jobs and pictures this request may see: the login's name, "" where people are not told apart."""
    return str(getattr(request.state, "user", ""))


def client_of(request: Request) -> str:
    """Who to count open streams by: the login where there is one, else the address."""
    return owner_of(request) or (request.client.host if request.client else "")


def door_of(request: Request) -> Door:
    """The door this server has."""
    door = request.app.state.door
    assert isinstance(door, Door)
    return door


Owner = Annotated[str, Depends(owner_of)]
Client = Annotated[str, Depends(client_of)]
TheDoor = Annotated[Door, Depends(door_of)]
