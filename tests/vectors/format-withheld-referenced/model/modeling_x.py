class XModel: pass
