"""The built-in plugins of msbench, written only against msbench.api and registered by entry points like anyone's."""
