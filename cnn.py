import runpy, litrepro.convexnets._convex_nn as M, litrepro.convexnets as C, sys
import litrepro.chapter as H
def f(self,id,value=None,holds=None,**k): print(id,holds,value['largest difference']); 
H.Chapter.claim=f
src=open(M.__file__).read().replace("np.concatenate([np.ones(n),", "np.concatenate([%s*np.ones(n),"%sys.argv[1]); exec(compile(src,M.__file__,'exec'),M.__dict__)
C.convex_nn=M.convex_nn
open('c.py','w').write(open('/work/main/book/11-convex-networks/convex-nn.py').read().split('# ## Exact and approximate')[0])
runpy.run_path('c.py')
