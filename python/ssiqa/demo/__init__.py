"""`ssiqa demo`: folders made of photographs that packages carry."""

from ssiqa.demo.folders import DemoFolders, make_demo_folders

__all__ = ["DemoFolders", "make_demo_folders"]
