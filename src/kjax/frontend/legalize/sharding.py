"""stub"""
def mesh_of(a): raise NotImplementedError
def import_lanes(importer, block): return False
