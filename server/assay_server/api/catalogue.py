"""assay.governance.v1.Catalogue: what may be acted on, and the grants that are held."""

from assay.rpc.method import Context
from assay_proto.governance.v1 import registration_pb2 as pb
from assay_server.api.actor import actor_of
from assay_server.api.catalogue_values import (
    grant_from_proto,
    grant_to_proto,
    resource_from_proto,
    resource_to_proto,
    tool_from_proto,
    tool_to_proto,
)
from assay_server.api.page import page_from_proto
from assay_server.api.words import optional_word
from assay_server.governance.catalogue import CatalogueService
from assay_server.model.governed.catalogue import Grant, Holder, Resource, Tool


class CatalogueApi:
    """The Catalogue service; handlers translate and leave the deciding to the services behind."""

    def __init__(
        self, resources: CatalogueService[Resource], tools: CatalogueService[Tool], grants: CatalogueService[Grant]
    ) -> None:
        self._resources = resources
        self._tools = tools
        self._grants = grants

    async def AddResource(self, request: pb.Resource, context: Context) -> pb.Resource:
        """Add one."""
        return resource_to_proto(await self._resources.add(resource_from_proto(request), actor_of(context)))

    async def UpdateResource(self, request: pb.UpdateResourceRequest, context: Context) -> pb.Resource:
        """Change some of its fields."""
        given = resource_from_proto(request.resource, request.fields)
        return resource_to_proto(await self._resources.update(given, request.fields, actor_of(context)))

    async def RemoveResource(self, request: pb.Named, context: Context) -> pb.Resource:
        """Remove one that no tool acts on; it as it was."""
        return resource_to_proto(await self._resources.remove(request.name, actor_of(context)))

    async def GetResource(self, request: pb.Named, context: Context) -> pb.Resource:
        """One, by its URI."""
        return resource_to_proto(await self._resources.get(request.name))

    async def ListResources(self, request: pb.ListResourcesRequest, context: Context) -> pb.ListResourcesResponse:
        """Resources, in pages if the caller asks for pages."""
        terms = [("tenant", request.tenant), ("env", request.environment)]
        found, token = await self._resources.find(terms, page_from_proto(request))
        return pb.ListResourcesResponse(resources=map(resource_to_proto, found), next_page_token=token)

    async def AddTool(self, request: pb.Tool, context: Context) -> pb.Tool:
        """Add one."""
        return tool_to_proto(await self._tools.add(tool_from_proto(request), actor_of(context)))

    async def UpdateTool(self, request: pb.UpdateToolRequest, context: Context) -> pb.Tool:
        """Change some of its fields."""
        given = tool_from_proto(request.tool, request.fields)
        return tool_to_proto(await self._tools.update(given, request.fields, actor_of(context)))

    async def RemoveTool(self, request: pb.Named, context: Context) -> pb.Tool:
        """Remove one that no principal and no live task names; it as it was."""
        return tool_to_proto(await self._tools.remove(request.name, actor_of(context)))

    async def GetTool(self, request: pb.Named, context: Context) -> pb.Tool:
        """One, by its name."""
        return tool_to_proto(await self._tools.get(request.name))

    async def ListTools(self, request: pb.ListToolsRequest, context: Context) -> pb.ListToolsResponse:
        """Tools, in pages if the caller asks for pages."""
        found, token = await self._tools.find([("resource", request.resource)], page_from_proto(request))
        return pb.ListToolsResponse(tools=map(tool_to_proto, found), next_page_token=token)

    async def AddGrant(self, request: pb.Grant, context: Context) -> pb.Grant:
        """Add one."""
        return grant_to_proto(await self._grants.add(grant_from_proto(request), actor_of(context)))

    async def UpdateGrant(self, request: pb.UpdateGrantRequest, context: Context) -> pb.Grant:
        """Change some of its fields."""
        given = grant_from_proto(request.grant, request.fields)
        return grant_to_proto(await self._grants.update(given, request.fields, actor_of(context)))

    async def RemoveGrant(self, request: pb.Named, context: Context) -> pb.Grant:
        """Remove one that nobody holds; it as it was."""
        return grant_to_proto(await self._grants.remove(request.name, actor_of(context)))

    async def GetGrant(self, request: pb.Named, context: Context) -> pb.Grant:
        """One, by its name."""
        return grant_to_proto(await self._grants.get(request.name))

    async def ListGrants(self, request: pb.ListGrantsRequest, context: Context) -> pb.ListGrantsResponse:
        """Grants, in pages if the caller asks for pages."""
        holder = optional_word(Holder, request.holder, "holder")
        terms = [("holder", holder.value if holder else "")]
        found, token = await self._grants.find(terms, page_from_proto(request))
        return pb.ListGrantsResponse(grants=map(grant_to_proto, found), next_page_token=token)
